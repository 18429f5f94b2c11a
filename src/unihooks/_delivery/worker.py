"""The worker: the engine as the main job of a process, inside a host's event loop, or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from unihooks._contract.leasing import DrainResult
from unihooks._delivery.engine import Engine, Limits
from unihooks._management.option_checks import check_counts, check_seconds, kind_of
from unihooks._management.settings import HasSettings, Settings

T = TypeVar("T")

CONCURRENCY = 512
PER_ENDPOINT = 32
_LEASE_BEYOND_DEADLINE = 10.0
_GRACE_BEYOND_DEADLINE = 2.0
_LEAST_LEASE_BEYOND_DEADLINE = 5.0
_logger = logging.getLogger("unihooks.worker")


class Worker:
    """What plans, sends and retries the deliveries of a dispatcher; any number of workers may share a store.

    At most `concurrency` requests are in flight, and at most `per_endpoint` of them to one endpoint.
    `lease` (seconds) is how long other workers leave a claimed delivery alone: at least the
    deadline + 5, by default the deadline + 10. `grace` (seconds) is how long an ordered end may take: at
    least the deadline + 2, which is its default.
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
        self._limits = _limits(self._settings.deadline, concurrency, per_endpoint, lease, grace)
        self._stop: Callable[[], None] | None = None
        self._stop_asked = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish in order and return."""
        run_in_new_loop(self._serve_with_signals)

    async def serve(self) -> None:
        """Work inside the running event loop until cancelled or `stop()`; then finish in order."""
        if self._stop is not None:
            raise RuntimeError("this worker is running already; for a second one, make another Worker(dispatcher)")
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: _set_from_any_thread(loop, stopping)
        if self._stop_asked:
            stopping.set()
        try:
            async with Engine(self._settings, self._limits) as engine:
                await engine.serve(stopping)
        finally:
            self._stop, self._stop_asked = None, False

    def stop(self) -> None:
        """Ask the worker to end in order; may be called from any thread or signal handler."""
        self._stop_asked = True
        stop = self._stop
        if stop is not None:
            stop()

    async def _serve_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        handled = [] if threading.current_thread() is not threading.main_thread() else [signal.SIGTERM, signal.SIGINT]
        for number in handled:
            loop.add_signal_handler(number, self.stop)
        try:
            await self.serve()
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    # The loop may have closed meanwhile: there is nothing left to stop.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


class WorkerThread:
    """A worker in a thread of this process; `start` and `stop` are for one thread to call."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._thread = threading.Thread(target=self._run, name="unihooks-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker in order and wait for it."""
        self._worker.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException:
            # Nobody joins this thread while it works, and Python reports no SystemExit that ends a thread.
            _logger.exception("the worker of this process has ended; nothing is sent until another one runs")


async def drain(settings: Settings, timeout: float) -> DrainResult:
    """Deliver what is due now, within the running event loop."""
    limits = _limits(settings.deadline, CONCURRENCY, PER_ENDPOINT, None, None)
    async with Engine(settings, limits) as engine:
        return await engine.drain(timeout)


def run_in_new_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in a new event loop, uvloop's where it is installed.

    Where an event loop is running already, the new one runs in a thread, and the caller waits for it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main())
    return _run_in_thread(main)


def _run_in_thread(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    outcome: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(run_in_new_loop(main))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=target, name="unihooks-call")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def _settings_of(dispatcher: object) -> Settings:
    settings = getattr(dispatcher, "settings", None)
    if isinstance(settings, Settings):
        return settings
    raise TypeError(f"a worker takes the dispatcher, as in Worker(dispatcher), not {kind_of(dispatcher)}")


def _limits(deadline: float, concurrency: int, per_endpoint: int, lease: float | None, grace: float | None) -> Limits:
    lease = deadline + _LEASE_BEYOND_DEADLINE if lease is None else lease
    grace = deadline + _GRACE_BEYOND_DEADLINE if grace is None else grace
    check_seconds("lease", lease, at_least=deadline + _LEAST_LEASE_BEYOND_DEADLINE, why="the deadline + 5 = ")
    check_seconds("grace", grace, at_least=deadline + _GRACE_BEYOND_DEADLINE, why="the deadline + 2 = ")
    check_counts(concurrency=concurrency, per_endpoint=per_endpoint)
    return Limits(concurrency=concurrency, per_endpoint=min(per_endpoint, concurrency), lease=lease, grace=grace)
