"""The work of one event loop: plan, claim, send, record; how it begins and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from attrs import frozen

from unihooks._base.threads import Threads
from unihooks._base.times import SECOND
from unihooks._contract.leasing import DrainResult, new_token
from unihooks._delivery.destinations import Destinations
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.hooks import Hooks
from unihooks._delivery.maintenance import Maintenance
from unihooks._delivery.pacing import ClaimBackoff, Looks
from unihooks._delivery.rendering import Renderer
from unihooks._delivery.results import ResultBatcher
from unihooks._delivery.sending import Sender
from unihooks._delivery.work_state import Next, WorkState
from unihooks._management.settings import Settings
from unihooks._model.log import DeliveryState
from unihooks.abc import Claimed, Lease, Planned, Recorded, Result, Work
from unihooks.exceptions import StoreError

T = TypeVar("T")
L = TypeVar("L", Planned, list[Claimed])

_PLAN_EVENTS = 256
# A clock of the host's may be moved on, which no timer sees.
_LONGEST_REST = 0.25
_POLL_SECONDS = 0.01
_DRAIN_SECONDS = 0.1
_STORE_PATIENCE_SECONDS = 0.5
_STORE_THREADS = 4
_HOOKS_SECONDS = 5.0
# What is left of the grace, whatever was in flight, for recording, releasing and the hooks.
_LAST_SECONDS = 1.0
_logger = logging.getLogger("unihooks.worker")


@frozen(kw_only=True)
class WorkerLimits:
    """The bounds of a worker: requests in flight in all and per endpoint; lease and grace in seconds."""

    concurrency: int
    per_endpoint: int
    lease: float
    grace: float


class Engine:
    """All that one dispatcher's worker does in one event loop; `async with` opens and closes it in order."""

    def __init__(self, settings: Settings, limits: WorkerLimits) -> None:
        self._settings = settings
        self._store = settings.open_store
        self._limits = limits
        self._queues = EndpointQueues(limits.concurrency, limits.per_endpoint)
        self._state = WorkState()
        self._backoff = ClaimBackoff()
        self._plan_backoff = ClaimBackoff()
        self._looks = Looks()
        self._leasing: Future[Any] | None = None
        self._is_aborted = False
        self._planned = self._delivered = self._failed = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(_STORE_THREADS, "unihooks-store-call")
        self._transport = self._settings.new_transport()
        self._hooks = Hooks(self._settings, self._state.moved)
        self._results = ResultBatcher(self._store, self.offload, self._on_recorded)
        self._maintenance = Maintenance(self._settings, self.offload)
        self._sender = Sender(
            settings=self._settings,
            queues=self._queues,
            state=self._state,
            transport=self._transport,
            record=self._results.add,
            want_more=self._want_more,
            destinations=Destinations(self._store, self.offload),
            renderer=Renderer(self._store, self.offload),
        )
        self._recording = asyncio.create_task(self._results.run())
        self._pid = os.getpid()
        self._unwatch = self._store.watch(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._unwatch()
        try:
            if not self._is_aborted:
                await self._finish()
        finally:
            # Also when a second cancellation cuts the ordered end short.
            self._leave_late_answer()
            self._recording.cancel()
            self._hooks.close()
            self._sender.close()
            self._threads.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._transport.aclose()

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._sender.in_flight

    def abort(self) -> None:
        """Leave out the ordered end; who calls this cancels the engine's task as well."""
        self._is_aborted = True

    # What the store tells, in any thread; after a fork it concerns the parent alone.

    def emitted(self) -> None:
        """Plan what was inserted here."""
        # Waking an event loop is a system call, and many may emit before it has looked.
        if os.getpid() == self._pid and self._state.begin_waking():
            self._in_loop(self._state.emitted)

    def changed(self) -> None:
        """Look for what another process has left."""
        if os.getpid() == self._pid:
            self._in_loop(self._state.changed)

    def expected(self) -> None:
        """Look repeatedly for what a host is about to commit."""
        if os.getpid() == self._pid:
            self._in_loop(self._expect)

    def _in_loop(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _expect(self) -> None:
        self._looks.expect(time.monotonic(), self._store.look_seconds())
        self._state.moved()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in one of the engine's threads."""
        return await self._threads.run(function, *args)

    async def serve(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set."""
        self._maintenance.start()
        stopped = asyncio.create_task(stopping.wait())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait([stopped, working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # It may be waiting for a database that hangs.
            working.cancel()
            stopped.cancel()
            await asyncio.wait([working])

    async def drain(self, timeout: float) -> DrainResult:
        """Plan what is new and attempt what is due; return when nothing of it is left, or at the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._drain_until(time.monotonic() + timeout)
        await self._finish()
        return DrainResult(self._planned, self._sender.attempted, self._delivered, self._failed)

    async def _drain_until(self, end: float) -> None:
        await self._maintenance.once()
        while time.monotonic() < end:
            self._backoff.end()
            self._plan_backoff.end()
            self._state.changed()
            await self._take_work()
            if self._queues.load or self._results.unrecorded or self._hooks.busy:
                # A hook may emit, and that is to be planned too.
                self._results.hurry()
                await self._state.wait(min(_DRAIN_SECONDS, max(0.0, end - time.monotonic())))
            elif not await self._is_work_left():
                break
            elif self._state.new_events:
                # Another transaction holds them.
                await self._state.wait(_POLL_SECONDS)

    # Taking work.

    async def _work(self) -> None:
        while True:
            await self._work_once()

    async def _work_once(self) -> None:
        try:
            await self._take_work()
            await self._rest()
            await self._maintenance.when_due()
        except StoreError as error:
            _logger.error("the store cannot be used, trying again: %s", error)  # noqa: TRY400
            await asyncio.sleep(_STORE_PATIENCE_SECONDS)
        except Exception:
            # A worker that ended here would leave everything unsent without a word.
            _logger.exception("taking work failed, trying again")
            await asyncio.sleep(_STORE_PATIENCE_SECONDS)

    async def _take_work(self) -> None:
        taken = self._state.take_next()
        if taken is Next.PLAN:
            await self._plan()
        # Who emits without end must not hide what others leave.
        if taken is Next.LOOK or self._looks.is_due(time.monotonic()):
            await self._look()
        if self._is_plannable():
            await self._plan()
        if self._is_claimable():
            await self._claim()
        await self._release_unsent()

    async def _look(self) -> None:
        work = self._peek()
        if work is None:
            self._note(await self.offload(self._store.work))

    def _peek(self) -> Work | None:
        """Look without a thread, where the store can."""
        self._looks.looked(time.monotonic(), self._store.look_seconds())
        work = self._store.peek()
        if work is not None:
            self._note(work)
        return work

    def _note(self, work: Work) -> None:
        self._state.new_events, self._state.next_due = work.new_events, work.next_due
        if work.new_events:
            self._looks.expect(time.monotonic(), self._store.look_seconds())

    async def _plan(self) -> None:
        lease, start_by = self._new_lease()
        most = self._settings.limits.deliveries_per_event
        planned = await self._leased(self._store.plan, lease, self._queues.capacity(planning=True), _PLAN_EVENTS, most)
        self._planned += planned.events
        self._sender.start(planned.claimed, start_by)
        self._state.new_events = planned.more
        if planned.claimed:
            self._state.due_by(self._store.now() + round(lease.seconds * SECOND))
        if planned.deliveries > len(planned.claimed):
            self._state.due_by(self._store.now())
        if planned.more or planned.deliveries > len(planned.claimed):
            # Those of this process's events that it cannot send itself.
            self._store.wake(here=False)
        if planned.events or planned.deliveries:
            self._plan_backoff.found()
        elif planned.more:
            # Another transaction holds these events, or their planning failed: they are tried again soon, then rarely.
            self._plan_backoff.found_nothing(time.monotonic())
            self._plan_backoff.shorten()
        else:
            # Whoever woke this worker meant something else, as a replay.
            self._state.changed()

    async def _claim(self) -> None:
        capacity = self._queues.capacity()
        if capacity.total == 0:
            self._backoff.had_no_capacity(time.monotonic())
            return
        lease, start_by = self._new_lease()
        claimed = await self._leased(self._store.claim, lease, capacity)
        self._sender.start(claimed, start_by)
        if claimed:
            self._backoff.found()
            self._state.changed()
        else:
            # What is due finds no capacity here, or another worker was faster.
            self._backoff.found_nothing(time.monotonic())

    async def _leased(self, call: Callable[..., L], *args: Any) -> L:
        """Await a call that leases deliveries; what it leases is released if its answer comes after the end."""
        self._leasing = leasing = self._threads.submit(call, *args)
        try:
            answer = await asyncio.wrap_future(leasing)
        except Exception:
            self._leasing = None
            raise
        self._leasing = None
        return answer

    def _is_plannable(self) -> bool:
        return self._state.new_events and self._plan_backoff.is_over(time.monotonic())

    def _is_claimable(self) -> bool:
        next_due = self._state.next_due
        is_due = next_due is not None and next_due <= self._store.now()
        return is_due and self._backoff.is_over(time.monotonic())

    async def _is_work_left(self) -> bool:
        self._note(await self.offload(self._store.work))
        return self._state.new_events or self._is_claimable()

    def _new_lease(self) -> tuple[Lease, float]:
        # The clock is read before the store is asked, so the lease ends here no later than there.
        start_by = time.monotonic() + self._limits.lease - self._settings.deadline
        return Lease(token=new_token(self._maintenance.worker_id), seconds=self._limits.lease), start_by

    async def _rest(self) -> None:
        while self._state.rests:
            if self._looks.is_due(time.monotonic()) and self._peek() is None:
                self._state.changed()
                return
            if self._is_plannable() or self._is_claimable() or self._sender.unsent or self._maintenance.is_due():
                return
            await self._state.wait(self._rest_seconds())

    def _rest_seconds(self) -> float:
        """Return how long nothing is to be done, unless something happens."""
        now, state = time.monotonic(), self._state
        until = min(self._looks.next, now + _LONGEST_REST)
        if state.new_events:
            until = min(until, self._plan_backoff.until)
        if state.next_due is not None:
            due_in = (state.next_due - self._store.now()) / SECOND
            until = min(until, max(now + due_in, self._backoff.until))
        return max(0.0, until - now)

    def _want_more(self) -> None:
        self._backoff.shorten()
        self._state.moved()

    # Recording and ending.

    def _on_recorded(self, results: list[Result], recorded: Recorded) -> None:
        accepted = set(recorded.accepted)
        kept = [result for result in results if result.claimed.id in accepted]
        self._delivered += sum(result.state is DeliveryState.DELIVERED for result in kept)
        self._failed += sum(result.state is DeliveryState.FAILED for result in kept)
        self._sender.recorded_closing({one.claimed.endpoint_id for one in results if one.disable or one.wait_us})
        self._sender.fill_slots()
        self._hooks.recorded(kept, recorded)
        for result in kept:
            if result.state is DeliveryState.PENDING:
                self._state.due_by(self._store.now() + (result.retry_in_us or 0))
        self._state.moved()

    async def _release_unsent(self) -> None:
        unsent, self._sender.unsent = self._sender.unsent, []
        if unsent:
            try:
                await self.offload(self._store.release, unsent)
            except (StoreError, asyncio.CancelledError):
                self._sender.unsent += unsent
                raise
            self._state.due_by(self._store.now())

    async def _finish(self) -> None:
        """Start nothing more, let what is in flight end, record it and release the rest; within the grace."""
        end = self._loop.time() + self._limits.grace
        await self._sender.finish(self._limits.grace - _LAST_SECONDS)
        if self._recording.done():
            # All tasks of the event loop were cancelled.
            self._recording = asyncio.create_task(self._results.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end - _LAST_SECONDS / 2):
                await self._results.finish()
                with contextlib.suppress(StoreError):
                    await self._take_late_answer()
                with contextlib.suppress(StoreError):
                    await self._release_unsent()
                await self._maintenance.finish()
        if self._results.unrecorded:
            _logger.error("%d results could not be recorded in time and are sent again", self._results.unrecorded)
        await self._hooks.finish(min(_HOOKS_SECONDS, max(0.0, end - self._loop.time())))

    async def _take_late_answer(self) -> None:
        """Wait for what was being leased when the end came."""
        if self._leasing is not None and not self._leasing.cancelled():
            answer = await asyncio.shield(asyncio.wrap_future(self._leasing))
            self._leasing = None
            self._sender.unsent += _leased_in(answer)

    def _leave_late_answer(self) -> None:
        """Let the thread that leases release what it gets, if nobody waits for it any more."""
        if self._leasing is not None:
            self._leasing.add_done_callback(self._release_late)

    def _release_late(self, leasing: Future[Any]) -> None:
        # The lease runs out if this fails, too.
        with contextlib.suppress(Exception):
            if not leasing.cancelled():
                self._store.release(_leased_in(leasing.result()))


def _leased_in(answer: Planned | list[Claimed]) -> list[Claimed]:
    return list(answer.claimed if isinstance(answer, Planned) else answer)
