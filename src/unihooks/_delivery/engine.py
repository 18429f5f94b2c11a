"""The work of a worker in one event loop: plan, claim, send, record; its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from unihooks._base.threads import Threads
from unihooks._contract.leasing import DrainResult
from unihooks._delivery.destinations import Destinations
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.hooks import Hooks
from unihooks._delivery.job_runner import JobRunner
from unihooks._delivery.maintenance import Maintenance
from unihooks._delivery.pacing import pause_after_store_error
from unihooks._delivery.rendering import Renderer
from unihooks._delivery.results import ResultBatcher
from unihooks._delivery.sending import Sender
from unihooks._delivery.taking import Taker
from unihooks._delivery.work_state import WorkerLimits, WorkState
from unihooks._management.host_hooks import HOOKS_SECONDS
from unihooks._management.settings import Settings
from unihooks._model.log import DeliveryState
from unihooks.abc import Recorded, Result
from unihooks.exceptions import StoreError

T = TypeVar("T")

_POLL_SECONDS = 0.01
_DRAIN_SECONDS = 0.1
_STORE_THREADS = 4
# The part of the grace that is kept for recording, releasing and the hooks, whatever is in flight.
_LAST_SECONDS = 1.0
_logger = logging.getLogger("unihooks.worker")


class Engine:
    """A worker of one dispatcher in one event loop; `async with` opens it, and closes it in an orderly way."""

    def __init__(self, settings: Settings, limits: WorkerLimits) -> None:
        self._settings = settings
        self._store = settings.open_store
        self._limits = limits
        self._queues = EndpointQueues(limits.concurrency, limits.per_endpoint)
        self._state = WorkState()
        self._is_aborted = self._is_draining = False
        self._delivered = self._failed = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(_STORE_THREADS, "unihooks-store-call")
        self._transport = self._settings.new_transport()
        self._hooks = Hooks(self._settings, self._state.moved)
        self._results = ResultBatcher(self._store, self.write, self._on_recorded, self._settings.breaker)
        self._maintenance = Maintenance(self._settings, self._threads.run)
        self._jobs = JobRunner(self._settings, self._threads.run, self._state, self._maintenance)
        self._sender = self._new_sender()
        self._recording = asyncio.create_task(self._results.run())
        self._taker = Taker(
            settings=self._settings,
            queues=self._queues,
            state=self._state,
            lease_seconds=self._limits.lease,
            sender=self._sender,
            begin=self.begin,
            offload=self._threads.run,
            maintenance=self._maintenance,
            jobs=self._jobs,
        )
        self._unwatch = self._store.watch(self._taker)
        return self

    def _new_sender(self) -> Sender:
        return Sender(
            settings=self._settings,
            queues=self._queues,
            state=self._state,
            transport=self._transport,
            record=self._results.add,
            want_more=self._want_more,
            destinations=Destinations(self._store, self._threads.run, self._settings.names),
            renderer=Renderer(self._store, self._threads.run),
        )

    async def __aexit__(self, *_: object) -> None:
        self._unwatch()
        try:
            if not self._is_aborted:
                await self._finish()
        finally:
            # Even if a second cancellation cuts the orderly end short.
            self._taker.leave_late_answer()
            self._recording.cancel()
            self._jobs.stop()
            self._hooks.close()
            self._sender.close()
            self._threads.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS / 2):
                    await self._transport.aclose()
                    if not self._is_aborted:
                        # A call that continues would open the store again after the host has closed it.
                        await self._threads.ended()

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return self._sender.in_flight

    def abort(self) -> None:
        """Skip the orderly end; the caller cancels the engine's task as well."""
        self._is_aborted = True

    async def write(self, verb: Callable[..., T], *args: Any) -> T:
        """Run a verb of the store that writes, in a thread of the store or of the engine."""
        return await asyncio.wrap_future(self.begin(verb, *args))

    def begin(self, verb: Callable[..., T], *args: Any) -> Future[T]:
        """Start what `write` runs."""
        return self._store.submit(verb, *args) or self._threads.submit(verb, *args)

    async def serve(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set."""
        self._maintenance.start()
        self._jobs.start()
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
        """Plan new events and attempt due deliveries; return when none are left, or at the timeout."""
        self._is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._drain_until(time.monotonic() + timeout)
        await self._finish()
        return DrainResult(self._taker.planned, self._sender.attempted, self._delivered, self._failed)

    async def _drain_until(self, end: float) -> None:
        await self._maintenance.once()
        while time.monotonic() < end:
            await self._taker.look_everywhere()
            await self._release_unsent()
            if self._queues.load or self._results.unrecorded or self._hooks.busy:
                # A hook may have emitted, and that has to be planned too.
                self._results.hurry()
                await self._state.wait(min(_DRAIN_SECONDS, max(0.0, end - time.monotonic())))
            elif await self._taker.is_work_left():
                if self._state.new_events:
                    # Another transaction holds them.
                    await self._state.wait(_POLL_SECONDS)
            elif not await self._jobs.drain(end - time.monotonic()):
                break

    # Taking work.

    async def _work(self) -> None:
        while True:
            try:
                await self._take_work()
                await self._taker.rest()
                await self._maintenance.when_due()
            except StoreError as error:
                _logger.error("the store cannot be used, trying again: %s", error)  # noqa: TRY400
                await pause_after_store_error()
            except Exception:
                # A worker that ended here would silently leave everything unsent.
                _logger.exception("taking work failed, trying again")
                await pause_after_store_error()

    async def _take_work(self) -> None:
        await self._taker.take()
        await self._release_unsent()

    def _want_more(self) -> None:
        self._taker.want_more()

    # Recording and ending.

    def _on_recorded(self, results: list[Result], recorded: Recorded) -> None:
        accepted = set(recorded.accepted)
        kept = [result for result in results if result.claimed.id in accepted]
        states = [result.state for result in kept]
        self._delivered += states.count(DeliveryState.DELIVERED)
        self._failed += states.count(DeliveryState.FAILED)
        self._sender.recorded(results, recorded)
        self._sender.fill_slots()
        self._hooks.recorded(kept, recorded)
        retries = [one.retry_in_us or 0 for one in kept if one.state is DeliveryState.PENDING]
        if retries:
            self._state.due_by(self._store.now() + min(retries))
        freed = recorded.freed or [one for one in kept if one.claimed.terms is not None]
        if freed:
            # Their lanes may now release others.
            self._state.due_by(self._store.now())
        if recorded.freed:
            self._taker.want_more()
        if retries or freed or self._sender.unsent or self._is_draining:
            self._state.moved()

    async def _release_unsent(self) -> None:
        unsent, self._sender.unsent = self._sender.unsent, []
        if unsent:
            try:
                await self.write(self._store.release, unsent)
            except (StoreError, asyncio.CancelledError):
                self._sender.unsent += unsent
                raise
            self._state.due_by(self._store.now())

    async def _finish(self) -> None:
        """Start nothing more, let requests in flight end, record them and release the rest, within the grace."""
        end = self._loop.time() + self._limits.grace
        self._jobs.stop()
        await self._sender.finish(self._limits.grace - _LAST_SECONDS)
        if self._recording.done():
            # All tasks of the event loop were cancelled.
            self._recording = asyncio.create_task(self._results.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end - _LAST_SECONDS / 2):
                await self._results.finish()
                with contextlib.suppress(StoreError):
                    await self._taker.take_late_answer()
                with contextlib.suppress(StoreError):
                    await self._release_unsent()
                await self._maintenance.finish()
        if self._results.unrecorded:
            _logger.error("%d results could not be recorded in time and are sent again", self._results.unrecorded)
        await self._hooks.finish(min(HOOKS_SECONDS, max(0.0, end - self._loop.time())))
