"""Hand the events that come in one turn of an event loop over to the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from attrs import define, field

from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome, Store

_MOST = 500

_Tick = list[tuple[NewEvent, "asyncio.Future[EmitOutcome]"]]


@define(eq=False)
class EmitBatcher:
    """Submit for any number of asynchronous callers in any number of event loops.

    Each submission costs a hand-over to the store's thread and another one
    back, which is more than the insert itself.
    """

    store: Store
    _turns: dict[asyncio.AbstractEventLoop, _Tick] = field(factory=dict)

    def submit(self, event: NewEvent) -> Awaitable[EmitOutcome]:
        """Insert the event durably; whoever awaits it gets its outcome, or what the store raises."""
        if event.idempotency_key is not None:
            return self._alone(event)
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None or len(turn) >= _MOST:
            turn = self._turns[loop] = []
            loop.call_soon(self._submit, loop, turn)
        future: asyncio.Future[EmitOutcome] = loop.create_future()
        turn.append((event, future))
        return future

    async def _alone(self, event: NewEvent) -> EmitOutcome:
        # It may have to wait for somebody's transaction, which must hold up no other.
        outcomes = await asyncio.wrap_future(self.store.submit_events([event]))
        return outcomes[0]

    def _submit(self, loop: asyncio.AbstractEventLoop, turn: _Tick) -> None:
        if self._turns.get(loop) is turn:
            del self._turns[loop]
        try:
            submitted = self.store.submit_events([event for event, _ in turn])
        except Exception as error:  # noqa: BLE001 - those who wait raise it
            _fail(turn, error)
        else:
            asyncio.wrap_future(submitted, loop=loop).add_done_callback(lambda done: _settle(turn, done))


def _settle(turn: _Tick, done: asyncio.Future[list[EmitOutcome]]) -> None:
    if (error := done.exception()) is not None:
        _fail(turn, error)
        return
    for (_, future), outcome in zip(turn, done.result(), strict=True):
        if not future.done():
            future.set_result(outcome)


def _fail(turn: _Tick, error: BaseException) -> None:
    for _, future in turn:
        if not future.done():
            future.set_exception(error)
