"""Submit the events that are emitted in one tick of an event loop to the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import TypeVar

from attrs import define, field

from unihooks._base.queue_thread import given_up
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome, Store
from unihooks.exceptions import StoreError

_MOST = 500

T = TypeVar("T")
_Tick = list[tuple[NewEvent, "asyncio.Future[EmitOutcome]"]]


@define(eq=False)
class EmitBatcher:
    """The events emitted in the current tick of each event loop.

    A submission to the store's thread and back takes longer than the insert itself.
    """

    store: Store
    per_minute: int | None = None
    _ticks: dict[asyncio.AbstractEventLoop, _Tick] = field(factory=dict)

    def submit(self, event: NewEvent) -> Awaitable[EmitOutcome]:
        """Insert the event durably; the awaitable returns its outcome, or raises what the store raises."""
        if event.idempotency_key is not None:
            return self._alone(event)
        loop = asyncio.get_running_loop()
        tick = self._ticks.get(loop)
        if tick is None or len(tick) >= _MOST:
            tick = self._ticks[loop] = []
            loop.call_soon(self._submit, loop, tick)
        future: asyncio.Future[EmitOutcome] = loop.create_future()
        tick.append((event, future))
        return future

    async def _alone(self, event: NewEvent) -> EmitOutcome:
        # An event with a key may have to wait for the transaction of another one with that key; others must not wait.
        submitted = self.store.submit_events([event], self.per_minute)
        outcomes = await in_time(asyncio.wrap_future(submitted), self.store.emit_deadline, submitted)
        return outcomes[0]

    def _submit(self, loop: asyncio.AbstractEventLoop, tick: _Tick) -> None:
        if self._ticks.get(loop) is tick:
            del self._ticks[loop]
        try:
            submitted = self.store.submit_events([event for event, _ in tick], self.per_minute)
        except Exception as error:  # noqa: BLE001 - those who wait raise it
            _fail(tick, error)
        except BaseException as error:
            # It ends the event loop, in which the waiting tasks may go on.
            _fail(tick, _interrupted(error))
            raise
        else:
            late = loop.call_later(self.store.emit_deadline, self._give_up, tick, submitted)
            asyncio.wrap_future(submitted, loop=loop).add_done_callback(lambda done: _settle(tick, done, late))

    def _give_up(self, tick: _Tick, submitted: Future[list[EmitOutcome]]) -> None:
        _fail(tick, given_up(self.store.emit_deadline, submitted))


async def in_time(waiting: Awaitable[T], seconds: float, submitted: object = None) -> T:
    """Wait for an insertion of events, for at most this many seconds."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await waiting
    except TimeoutError as error:
        if limit.expired():
            raise given_up(seconds, submitted) from error
        raise


def _settle(tick: _Tick, done: asyncio.Future[list[EmitOutcome]], late: asyncio.TimerHandle) -> None:
    late.cancel()
    if (error := done.exception()) is not None:
        _fail(tick, error)
        return
    for (_, future), outcome in zip(tick, done.result(), strict=True):
        if not future.done():
            future.set_result(outcome)


def _interrupted(error: BaseException) -> StoreError:
    failure = StoreError(
        f"emitting was interrupted by {error!r}; it is not known whether this was stored: check, then try again",
        name="store",
    )
    failure.__cause__ = error
    return failure


def _fail(tick: _Tick, error: BaseException) -> None:
    for _, future in tick:
        if not future.done():
            future.set_exception(error)
