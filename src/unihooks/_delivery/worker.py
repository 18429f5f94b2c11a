"""The worker: the engine as the main task of a process, inside a host's event loop, or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from unihooks._base.event_loops import note_thread_end, run_in_new_loop
from unihooks._contract.leasing import DrainResult
from unihooks._delivery.engine import Engine
from unihooks._delivery.work_state import WorkerLimits
from unihooks._management.option_checks import check_seconds, kind_of
from unihooks._management.settings import HasSettings, Settings
from unihooks._model.checks import check_count
from unihooks.transport import check_bind

CONCURRENCY = 512
PER_ENDPOINT = 32
_LEASE_BEYOND_DEADLINE = 10.0
_GRACE_BEYOND_DEADLINE = 2.0
_LEAST_LEASE_BEYOND_DEADLINE = 5.0
_ENDING_SECONDS = 3.0
_logger = logging.getLogger("unihooks.worker")


class Worker:
    """A worker, which plans, sends and retries the deliveries of a dispatcher; any number may share a store.

    At most `concurrency` requests are in flight, and at most `per_endpoint` of them to one endpoint, or as many as its
    webhook's policy says.
    `lease` (seconds) is how long other workers leave a claimed delivery alone: at least the
    deadline + 5, by default the deadline + 10. `grace` (seconds) is how long an orderly end may take: at least the
    deadline + 2, which is its default. `InvalidArgument` if this machine lacks the address that the dispatcher's
    `Egress` sends from.
    """

    def __init__(
        self,
        dispatcher: HasSettings,
        *,
        concurrency: int = CONCURRENCY,
        per_endpoint: int = PER_ENDPOINT,
        lease: float | None = None,
        grace: float | None = None,
    ) -> None:
        self._settings = _settings_of(dispatcher)
        check_bind(self._settings.egress)
        self._limits = _limits(self._settings.deadline, concurrency, per_endpoint, lease, grace)
        self._serving: _Serving | None = None
        self._stop_asked = self._abort_asked = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish in an orderly way and return; a second signal ends it at once.

        The host's own handlers of these signals are restored when it returns.
        """
        with _handling_signals(self._signalled):
            try:
                run_in_new_loop(self.serve)
            except asyncio.CancelledError:
                if not self._abort_asked:
                    raise
            finally:
                self._abort_asked = False

    async def serve(self) -> None:
        """Work inside the running event loop until cancelled or `stop()`; then finish in an orderly way."""
        if self._serving is not None:
            raise RuntimeError("this worker is running already; for a second one, make another Worker(dispatcher)")
        engine = Engine(self._settings, self._limits)
        serving = self._serving = _Serving(engine)
        if self._stop_asked:
            serving.stopping.set()
        try:
            async with engine:
                await engine.serve(serving.stopping)
        finally:
            self._serving, self._stop_asked = None, False

    @property
    def grace(self) -> float:
        """How long an orderly end may take, in seconds."""
        return self._limits.grace

    def stop(self) -> None:
        """Ask the worker to end in an orderly way; may be called from any thread or signal handler."""
        self._stop_asked = True
        if (serving := self._serving) is not None:
            serving.call(serving.stopping.set)

    def _signalled(self, *_: object) -> None:
        serving = self._serving
        # Noted first: the second signal may come while the first one is being reported.
        was_asked, self._stop_asked = self._stop_asked, True
        if not was_asked:
            count = 0 if serving is None else serving.engine.in_flight
            requests = "1 request" if count == 1 else f"{count} requests"
            _tell(f"finishing {requests}, up to {self._limits.grace:g} s; again to stop at once\n")
            self.stop()
        elif serving is not None:
            self._abort_asked = True
            serving.call(serving.abort)


@define(eq=False)
class _Serving:
    """A running worker in an event loop, as other threads and signal handlers reach it."""

    engine: Engine
    stopping: asyncio.Event = field(factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _task: asyncio.Task[Any] | None = field(factory=asyncio.current_task)

    def call(self, function: Callable[[], object]) -> None:
        # The loop may have closed meanwhile: there is nothing left to end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def abort(self) -> None:
        self.engine.abort()
        if self._task is not None:
            self._task.cancel()


@contextmanager
def _handling_signals(handler: Callable[..., None]) -> Iterator[None]:
    """Handle SIGTERM and SIGINT while the block runs; only the main thread can."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT) if is_main}
    try:
        yield
    finally:
        for number, previous in before.items():
            # None stands for a handler that was not set from Python, which cannot be restored from here.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)


def _tell(text: str) -> None:
    # Not with print(), which the signal may have interrupted.
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


class WorkerThread:
    """A worker in a thread of this process; only one thread may call `start` and `stop`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._thread = threading.Thread(target=self._run, name="unihooks-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker in an orderly way and wait for it, though not for ever."""
        self._worker.stop()
        self._thread.join(self._worker.grace + _ENDING_SECONDS)
        if self._thread.is_alive():
            _logger.error("the worker of this process did not end in time; it is abandoned")

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException:
            # Nobody joins this thread while it works, and Python does not report a SystemExit that ends a thread.
            _logger.exception("the worker of this process has ended; nothing is sent until another one runs")
        finally:
            note_thread_end()


async def drain(settings: Settings, timeout: float) -> DrainResult:
    """Deliver what is due now, within the running event loop."""
    limits = _limits(settings.deadline, CONCURRENCY, PER_ENDPOINT, None, None)
    async with Engine(settings, limits) as engine:
        return await engine.drain(timeout)


def _settings_of(dispatcher: object) -> Settings:
    settings = getattr(dispatcher, "settings", None)
    if isinstance(settings, Settings):
        return settings
    raise TypeError(f"a worker takes the dispatcher, as in Worker(dispatcher), not {kind_of(dispatcher)}")


def _limits(
    deadline: float, concurrency: int, per_endpoint: int, lease: float | None, grace: float | None
) -> WorkerLimits:
    lease = deadline + _LEASE_BEYOND_DEADLINE if lease is None else lease
    grace = deadline + _GRACE_BEYOND_DEADLINE if grace is None else grace
    lease = check_seconds("lease", lease, at_least=deadline + _LEAST_LEASE_BEYOND_DEADLINE, why="the deadline + 5 = ")
    grace = check_seconds("grace", grace, at_least=deadline + _GRACE_BEYOND_DEADLINE, why="the deadline + 2 = ")
    check_count("concurrency", concurrency)
    check_count("per_endpoint", per_endpoint)
    return WorkerLimits(concurrency=concurrency, per_endpoint=min(per_endpoint, concurrency), lease=lease, grace=grace)
