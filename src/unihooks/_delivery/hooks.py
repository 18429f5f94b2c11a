"""Report ended deliveries and disabled endpoints to the host's hooks and to the log."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future

from attrs import define, field

from unihooks._base.threads import Threads
from unihooks._management.host_hooks import MOST_WAITING, Hook
from unihooks._management.settings import Settings
from unihooks._model.endpoints import endpoint_apart
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks.abc import DeliveryFilter, Recorded, Result, Window
from unihooks.exceptions import UnihooksError

_ENDED = (DeliveryState.DELIVERED, DeliveryState.FAILED)
_RAISED = "a hook of the host raised; the delivery itself is recorded"
_logger = logging.getLogger("unihooks.worker")

# A hook, the function that finds its argument, and its place: only ids wait, since results hold whole bodies.
_Call = tuple[Hook, Callable[..., object | None], tuple[str, ...]]


@define(eq=False)
class Hooks:
    """The calls of the host's hooks: each at most once, in the order of recording.

    A daemon thread makes them, one after the other, and only so many wait for it: a hook that is slower than the
    deliveries, or never returns, holds up nothing else. Dropped calls are counted in the settings. Coroutine functions
    run in the worker's event loop. `settled` is called whenever a call has ended.
    """

    settings: Settings
    settled: Callable[[], None]
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _thread: Threads = field(factory=lambda: Threads(1, "unihooks-hooks"))
    _calls: set[Future[None]] = field(factory=set)
    _finished: asyncio.Event = field(factory=asyncio.Event)
    _awaited: Future[object] | None = None
    _is_over: bool = False
    _dropped: int = 0

    def recorded(self, accepted: Sequence[Result], recorded: Recorded) -> None:
        """Log what ended with the accepted results, and call the hooks for it soon."""
        for one in accepted:
            if one.state is DeliveryState.FAILED:
                _log_failure(one)
        for tenant, webhook_id, endpoint_id in recorded.disabled:
            _logger.warning("endpoint disabled: tenant=%s webhook=%s endpoint=%s", tenant, webhook_id, endpoint_id)
        hooks = self.settings.hooks
        ended = ((one.claimed.tenant, one.claimed.id) for one in accepted if one.state in _ENDED)
        self._tell(hooks.on_delivery, self._delivery, ended)
        self._tell(hooks.on_endpoint_disabled, self._endpoint, recorded.disabled)
        self._tell(hooks.on_webhook_changed, self.settings.store.get_webhook, (one[:2] for one in recorded.disabled))
        for change in recorded.told_health:
            hook = hooks.on_endpoint_recovered if change.after is HealthState.HEALTHY else hooks.on_endpoint_failing
            self._tell(hook, self._endpoint, [change[:3]])

    @property
    def busy(self) -> bool:
        """Whether a hook is running or waits for its turn."""
        return bool(self._calls)

    async def finish(self, timeout: float) -> None:
        """Wait until the calls have ended; after `timeout` seconds, abandon those that have not."""
        if self.busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), timeout)
        self.close()

    def close(self) -> None:
        """Make no more calls; do not wait for the one that is under way."""
        self._is_over = True
        given_up = sum(call.cancel() for call in tuple(self._calls))
        self._thread.close()
        if self._awaited is not None:
            self._awaited.cancel()
        if self.busy:
            _logger.error("hooks of the host did not end in time; %d calls are given up", given_up)
        self._drop(given_up)
        self._calls.clear()

    def _tell(self, hook: Hook | None, find: Callable[..., object | None], places: Iterable[tuple[str, ...]]) -> None:
        """Call a hook, if the host has passed it, with what is found at each place."""
        if hook is None:
            return
        for call in ((hook, find, place) for place in places):
            if self._is_over or len(self._calls) >= MOST_WAITING:
                self._drop(1)
                continue
            self._finished.clear()
            made = self._thread.submit(self._call, *call)
            self._calls.add(made)
            made.add_done_callback(self._tell_end)

    def _drop(self, count: int) -> None:
        if count and not self._dropped:
            _logger.warning(
                "hooks of the host are slower than the changes that they are called for: calls are dropped and counted "
                "in stats().hook_calls_dropped; let the hooks fill a queue of your own"
            )
        self._dropped += count
        self.settings.hook_calls_dropped += count

    # In the thread of the hooks.

    def _call(self, hook: Hook, find: Callable[..., object | None], where: tuple[str, ...]) -> None:
        try:
            subject = find(*where)
        except UnihooksError:
            return
        if self._is_over:
            return
        try:
            answer = None if subject is None else hook(subject)
            if inspect.isawaitable(answer):
                self._await(answer)
        except BaseException:  # the host's code may raise a SystemExit
            if not self._is_over:
                _logger.exception(_RAISED)

    def _await(self, answer: Awaitable[object]) -> None:
        waiting = _result(answer)
        try:
            self._awaited = asyncio.run_coroutine_threadsafe(waiting, self._loop)
        except RuntimeError:
            waiting.close()
            raise
        if self._is_over:
            self._awaited.cancel()
        try:
            self._awaited.result()
        finally:
            # Cancelled before it began.
            if inspect.iscoroutine(answer) and inspect.getcoroutinestate(answer) == inspect.CORO_CREATED:
                answer.close()

    def _delivery(self, tenant: str, delivery_id: str) -> object | None:
        filters = DeliveryFilter(delivery_id=delivery_id)
        return next(iter(self.settings.store.list_deliveries(tenant, filters, Window(limit=1))), None)

    def _endpoint(self, tenant: str, webhook_id: str, endpoint_id: str) -> object | None:
        return endpoint_apart(self.settings.store.get_webhook(tenant, webhook_id), endpoint_id)

    def _tell_end(self, made: Future[None]) -> None:
        # The event loop may have ended before a slow hook.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end_one, made)

    # In the event loop again.

    def _end_one(self, made: Future[None]) -> None:
        self._calls.discard(made)
        if not self._calls:
            self._finished.set()
        self.settled()


async def _result(answer: Awaitable[object]) -> object:
    try:
        return await answer
    except (SystemExit, KeyboardInterrupt) as error:
        # It would end the event loop.
        raise RuntimeError(f"a hook raised {type(error).__name__}") from error


def _log_failure(result: Result) -> None:
    one = result.claimed
    where = (one.tenant, one.webhook_id, one.endpoint_id, one.event_id, one.id)
    text = "delivery failed for good: tenant=%s webhook=%s endpoint=%s event=%s delivery=%s reason=%s"
    _logger.warning(text, *where, result.reason)
