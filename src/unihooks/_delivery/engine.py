"""Run the work of one event loop: plan, claim, sign, send, decide, record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from attrs import frozen

from unihooks._contract.leasing import DrainResult, new_token
from unihooks._delivery.attempts import Attempted, Unsent, decide
from unihooks._delivery.claim_backoff import ClaimBackoff
from unihooks._delivery.destinations import Destinations
from unihooks._delivery.endpoint_queues import EndpointQueues, Leased
from unihooks._delivery.hooks import Hooks
from unihooks._delivery.maintenance import Upkeep
from unihooks._delivery.rendering import Renderer
from unihooks._delivery.results import ResultBatcher
from unihooks._message.rendering import RenderingFailed
from unihooks._message.requests import Message, PreparedDestination, RenderedRequest, build_request
from unihooks._model.log import DeliveryState
from unihooks.abc import Claimed, Lease, Recorded, Result, Settings
from unihooks.exceptions import StoreError
from unihooks.transport import Exchange, exchange

T = TypeVar("T")

_PLAN_EVENTS = 256
_POLL_SECONDS = 0.01
_DRAIN_SECONDS = 0.1
_STORE_PATIENCE_SECONDS = 0.5
_STARTED_TOGETHER = 64
_STORE_THREADS = 4
_HOOKS_AT_LEAST_SECONDS = 1.0
_NO_WARNINGS: tuple[str, ...] = ()
_NOTHING_SENT = Exchange(error="the request could not be built", duration=0.0)
_logger = logging.getLogger("unihooks.worker")


@frozen(kw_only=True)
class Limits:
    """Bound a worker: requests in flight in all and per endpoint; lease and grace in seconds."""

    concurrency: int
    per_endpoint: int
    lease: float
    grace: float


class Engine:
    """Work for one dispatcher in one event loop; `async with` opens and closes it in order."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._settings = settings
        self._store = settings.store
        self._limits = limits
        self._lanes = EndpointQueues(limits.concurrency, limits.per_endpoint)
        self._wake = asyncio.Event()
        self._waking = self._told = False
        self._look_by = 0.0
        self._slots: set[asyncio.Task[None]] = set()
        self._given_back: list[Claimed] = []
        self._starting = True
        self._filling = False
        self._ends_at = 0.0
        self._pause = ClaimBackoff()
        self._next_due: int | None = None
        self._token: object = None
        self._planned = self._attempted = self._delivered = self._failed = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(_STORE_THREADS, "unihooks-worker")
        self._transport = self._settings.new_transport()
        self._hooks = Hooks(self._settings, self.offload, self._wake.set)
        self._destinations = Destinations(self._store, self.offload)
        self._renderer = Renderer(self._store, self.offload)
        self._recorder = ResultBatcher(self._store, self.offload, self._on_recorded)
        self._upkeep = Upkeep(self._settings, self.offload)
        self._recording = asyncio.create_task(self._recorder.run())
        self._pid = os.getpid()
        self._settings.wakers.add(self.wake)
        self._watched = self._store.watch(self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._settings.wakers.discard(self.wake)
        self._watched()
        try:
            await self._finish()
            await self._hooks.finish(max(_HOOKS_AT_LEAST_SECONDS, self._ends_at - time.monotonic()))
        finally:
            # Also when a second cancellation cuts the ordered end short.
            self._recording.cancel()
            self._renderer.close()
            self._pool.shutdown(wait=False)
            await self._transport.aclose()

    def wake(self) -> None:
        """Look for work now. May be called from any thread; after a fork it does nothing."""
        # Waking an event loop is a system call, and many may emit before it has looked.
        if not self._waking and os.getpid() == self._pid:
            self._waking = True
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake_up)

    def _look(self) -> None:
        if os.getpid() == self._pid:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    def _wake_up(self) -> None:
        self._waking = False
        self._told = True
        self._wake.set()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in one of the engine's threads."""
        return await self._loop.run_in_executor(self._pool, function, *args)

    async def serve(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set."""
        self._upkeep.start()
        stopped = asyncio.create_task(self._wake_when(stopping))
        try:
            while not stopping.is_set():
                await self._work_once()
        finally:
            stopped.cancel()
            await self._upkeep.finish()

    async def drain(self, timeout: float) -> DrainResult:
        """Plan what is new and attempt what is due; return when nothing of it is left, or at the timeout."""
        end = time.monotonic() + timeout
        await self._upkeep.once()
        while time.monotonic() < end:
            self._pause.end()
            await self._take_work()
            if self._lanes.load or self._recorder.unrecorded or self._hooks.busy:
                # A hook may emit, and that is to be planned too.
                self._recorder.hurry()
                await self._something_happens(end)
            elif not await self._work_is_left():
                break
        await self._finish()
        return DrainResult(self._planned, self._attempted, self._delivered, self._failed)

    # Taking work.

    async def _work_once(self) -> None:
        try:
            await self._take_work()
            await self._rest()
            await self._upkeep.when_due()
        except StoreError as error:
            _logger.error("the store cannot be used, trying again: %s", error)  # noqa: TRY400
            await asyncio.sleep(_STORE_PATIENCE_SECONDS)
        except Exception:
            # A worker that ended here would leave everything unsent without a word.
            _logger.exception("taking work failed, trying again")
            await asyncio.sleep(_STORE_PATIENCE_SECONDS)

    async def _take_work(self) -> None:
        self._wake.clear()
        if self._told:
            # Somebody has just emitted, most likely: to look first would only delay it.
            self._told = False
            await self._plan()
            if time.monotonic() < self._look_by:
                return
        self._look_by = time.monotonic() + _POLL_SECONDS
        work = await self.offload(self._store.work)
        self._next_due = work.next_due
        if work.new_events:
            await self._plan()
        if self._is_due(work.next_due) and self._pause.is_over(time.monotonic()):
            await self._claim()
        await self._give_back()

    async def _plan(self) -> None:
        lease, start_by = self._new_lease()
        planned = await self.offload(self._store.plan, lease, self._lanes.capacity(), _PLAN_EVENTS)
        self._planned += planned.events
        self._start(planned.claimed, start_by)
        if planned.more or planned.deliveries > len(planned.claimed):
            self._wake.set()

    async def _claim(self) -> None:
        capacity = self._lanes.capacity()
        if capacity.total == 0:
            self._pause.had_no_room(time.monotonic())
            return
        lease, start_by = self._new_lease()
        claimed = await self.offload(self._store.claim, lease, capacity)
        self._start(claimed, start_by)
        if claimed:
            self._pause.found()
            self._wake.set()
        else:
            # What is due has no room here, or was taken by another worker.
            self._pause.found_nothing(time.monotonic())

    def _is_due(self, moment: int | None) -> bool:
        return moment is not None and moment <= self._store.now()

    async def _work_is_left(self) -> bool:
        work = await self.offload(self._store.work)
        if work.new_events:
            return True
        return self._is_due(work.next_due) and self._pause.is_over(time.monotonic())

    def _new_lease(self) -> tuple[Lease, float]:
        # The clock is read before the store is asked, so the lease ends here no later than there.
        start_by = time.monotonic() + self._limits.lease - self._settings.deadline
        return Lease(token=new_token(self._upkeep.worker_id), seconds=self._limits.lease), start_by

    async def _rest(self) -> None:
        while not self._wake.is_set():
            token = self._store.change_token()
            if token != self._token:
                self._token = token
                return
            if self._is_due(self._next_due) and self._pause.is_over(time.monotonic()):
                return
            if self._upkeep.is_due():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def _wake_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._wake.set()

    async def _something_happens(self, end: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_DRAIN_SECONDS, max(0.0, end - time.monotonic()))):
                await self._wake.wait()

    # Sending.

    def _start(self, claimed: Iterable[Claimed], start_by: float) -> None:
        claimed = list(claimed)
        self._destinations.note(claimed)
        for one in claimed:
            self._lanes.add(Leased(one, start_by))
        self._fill_slots()

    def _fill_slots(self) -> None:
        for _ in range(_STARTED_TOGETHER):
            leased = self._lanes.next() if self._starting else None
            if leased is None:
                return
            slot = self._loop.create_task(self._run_slot(leased))
            self._slots.add(slot)
            slot.add_done_callback(self._slots.discard)
        if not self._filling:
            # To begin hundreds at once would hold up those that are under way.
            self._filling = True
            self._loop.call_soon(self._fill_more)

    def _fill_more(self) -> None:
        self._filling = False
        self._fill_slots()

    async def _run_slot(self, leased: Leased | None) -> None:
        while leased is not None:
            await self._deliver(leased)
            leased = self._lanes.next() if self._starting else None
            self._fill_slots()
        self._want_more()

    def _want_more(self) -> None:
        if self._lanes.load == 0:
            self._renderer.forget_bodies()
        if self._lanes.is_short:
            self._pause.shorten()
            self._wake.set()

    async def _deliver(self, leased: Leased) -> None:
        claimed = leased.claimed
        begun = time.monotonic()
        answer: Exchange | None = None
        unsent = False
        try:
            answer = await self._attempt(leased)
            unsent = answer is None
        except RenderingFailed as failed:
            self._recorder.add(Unsent(claimed, failed.reason))
        except asyncio.CancelledError:
            unsent = True
            raise
        except StoreError:
            # The loop that takes work logs this. Wait, or the delivery is claimed again at once.
            unsent = True
            await asyncio.sleep(_STORE_PATIENCE_SECONDS)
        except Exception:
            # The lease is left to run out: trying again at once would only repeat the error.
            _logger.exception("delivery %s could not be attempted; it will be tried again", claimed.id)
        finally:
            succeeded = answer is not None and answer.error is None
            seconds = None if answer is None else time.monotonic() - begun
            self._lanes.done(claimed.endpoint_id, succeeded=succeeded, seconds=seconds)
            if unsent:
                self._given_back.append(claimed)

    async def _attempt(self, leased: Leased) -> Exchange | None:
        claimed = leased.claimed
        if claimed.rendering is None:
            body, warnings = claimed.body, _NO_WARNINGS
        else:
            body, warnings = await self._renderer.render(claimed, claimed.rendering)
        prepared = self._destinations.known(claimed) or await self._destinations.find(claimed)
        # Looked at last, because rendering and finding the destination take their time. The deadline counts
        # from this very look, so it never outlasts the lease, even if the process is frozen here.
        begun = time.monotonic()
        if prepared is None or not prepared.destination.open or begun > leased.start_by:
            return None
        now = self._store.now()
        deadline = begun + self._settings.deadline
        request = self._build(claimed, body, prepared, now, deadline)
        answer = _NOTHING_SENT if request is None else await exchange(self._transport, request, deadline=deadline)
        self._attempted += 1
        decision = decide(claimed, answer, retries=self._settings.retries, now=self._store.now())
        if decision.disable:
            # What is leased for it waits until the store knows.
            self._lanes.close(claimed.endpoint_id)
        self._recorder.add(Attempted(claimed, prepared, request, answer, now, decision, warnings))
        return answer

    def _build(
        self, claimed: Claimed, body: bytes, prepared: PreparedDestination, now: int, deadline: float
    ) -> RenderedRequest | None:
        message = Message(claimed.event_id, claimed.product, claimed.event_type, body)
        try:
            return build_request(prepared, message, now=now, deadline=deadline)
        except Exception:
            _logger.exception("the request of delivery %s cannot be built", claimed.id)
            return None

    # Recording and ending.

    def _on_recorded(self, results: list[Result], recorded: Recorded) -> None:
        accepted = set(recorded.accepted)
        kept = [result for result in results if result.claimed.id in accepted]
        self._delivered += sum(result.state is DeliveryState.DELIVERED for result in kept)
        self._failed += sum(result.state is DeliveryState.FAILED for result in kept)
        for endpoint_id in {one.claimed.endpoint_id for one in results if one.disable}:
            self._destinations.forget(endpoint_id)
            self._lanes.open(endpoint_id)
        self._fill_slots()
        self._hooks.recorded(kept, recorded)
        self._wake.set()

    async def _give_back(self) -> None:
        given_back, self._given_back = self._given_back, []
        if given_back:
            try:
                await self.offload(self._store.release, given_back)
            except StoreError:
                self._given_back += given_back
                raise
            self._wake.set()

    async def _finish(self) -> None:
        """Start nothing more, let what is in flight end, record it and release the rest."""
        self._starting = False
        self._given_back += [leased.claimed for leased in self._lanes.take_waiting()]
        end = self._ends_at = time.monotonic() + self._limits.grace
        if self._slots:
            _, late = await asyncio.wait(set(self._slots), timeout=self._limits.grace)
            await self._cancel(late)
        await self._record_rest(end)
        with contextlib.suppress(StoreError):
            await self._give_back()

    async def _cancel(self, late: Sequence[asyncio.Task[None]] | set[asyncio.Task[None]]) -> None:
        for slot in late:
            slot.cancel()
        if late:
            await asyncio.wait(late)

    async def _record_rest(self, end: float) -> None:
        while self._recorder.unrecorded and time.monotonic() < end + 1:
            self._recorder.hurry()
            await asyncio.sleep(0.002)
