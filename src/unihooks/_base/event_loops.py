"""Event loops for hosts that have none: uvloop's where it is installed, which changes speed only."""

from __future__ import annotations

import asyncio

# Otherwise the first event loop would import it in its thread, and a fork meanwhile would run half of its hooks.
import concurrent.futures.thread  # noqa: F401
import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_SIGNAL_LOOK_SECONDS = 1.0
_FORK_PATIENCE_SECONDS = 0.1
_ending: deque[int] = deque(maxlen=16)
_Main = Callable[[], Coroutine[Any, Any, T]]
_LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run_in_new_loop(main: _Main[T]) -> T:
    """Run a coroutine function in a new event loop, and wait for it.

    The loop gets a thread of its own where an event loop is already running, and where uvloop would swallow what a
    signal handler raises. Green threads share one loop.
    """
    if _are_threads_patched():
        return _Call(main, _green.run, _green.has_one_user).wait()
    fast = _fast_loop()
    is_main = threading.current_thread() is threading.main_thread()
    if _is_loop_running() or (fast is not None and is_main):
        return _Call(main, lambda coroutine: _run_alone(fast, coroutine)).wait()
    return _run_alone(fast, main())


def green_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that green threads share, which now runs until the process ends; None if there are none."""
    return _green.join().loop if _are_threads_patched() else None


def _run_alone(loop_factory: _LoopFactory | None, main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


class _LoopInUse:
    """An event loop, from its first user to its last one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.users = 1
        self.is_over = asyncio.Event()
        self.has_ended = threading.Event()

    def serve(self, before: _LoopInUse | None) -> None:
        """Run the loop, once the one before it has ended."""
        if before is not None:
            before.has_ended.wait()
        try:
            _run_alone(lambda: self.loop, self.is_over.wait())
        finally:
            self.has_ended.set()


class _GreenLoop:
    """The event loop of all green threads: the system's thread under them can run only one at a time."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        # By process: a forked child has none of its parent's.
        self._now: dict[int, _LoopInUse] = {}

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, beside those of others."""
        now = self.join()
        try:
            return asyncio.run_coroutine_threadsafe(main, now.loop).result()
        finally:
            with self._gate:
                now.users -= 1
                if not now.users:
                    now.loop.call_soon_threadsafe(now.is_over.set)

    def has_one_user(self) -> bool:
        """Return whether all work in the loop belongs to one user."""
        return self._now[os.getpid()].users == 1

    def join(self) -> _LoopInUse:
        """Become a user of the loop; start it if there is none."""
        with self._gate:
            before = self._now.get(os.getpid())
            if before is not None and before.users:
                before.users += 1
                return before
            now = self._now[os.getpid()] = _LoopInUse()
        threading.Thread(target=now.serve, args=(before,), name="unihooks-loop", daemon=True).start()
        return now


_green = _GreenLoop()


class _Call(Generic[T]):
    """A coroutine that runs in a thread of its own; `run` finds it an event loop."""

    def __init__(
        self,
        main: _Main[T],
        run: Callable[[Coroutine[Any, Any, T]], T],
        is_alone: Callable[[], bool] = lambda: True,
    ) -> None:
        self._main = main
        self._run_in_loop = run
        self._is_alone = is_alone
        self._outcome: Future[T] = Future()
        self._cancel: Callable[[], None] = lambda: None
        self._is_cancelled = False

    def wait(self) -> T:
        """Return the coroutine's result, or raise its error or, once it has ended, what a signal handler has raised."""
        threading.Thread(target=self._run, name="unihooks-call", daemon=True).start()
        try:
            # A signal that comes just before the wait, or in another thread, is handled only once the wait ends.
            while not wait([self._outcome], timeout=_SIGNAL_LOOK_SECONDS).done:
                pass
        except BaseException:
            self._is_cancelled = True
            self._cancel()
            self._outcome.exception()
            raise
        return self._outcome.result()

    def _run(self) -> None:
        try:
            try:
                result = self._run_in_loop(self._cancellable())
            finally:
                note_thread_end()
        except BaseException as error:  # noqa: BLE001 - raised by `wait`
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(result)

    async def _cancellable(self) -> T:
        loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
        task = asyncio.create_task(self._main())

        def cancel_all() -> None:
            # As asyncio does when an exception leaves its loop, cancel what is under way.
            for each in asyncio.all_tasks(loop) - before if self._is_alone() else (task,):
                each.cancel()

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(cancel_all)

        self._cancel = cancel
        if self._is_cancelled:
            cancel_all()
        return await task


def note_thread_end() -> None:
    """Note that this thread, which has run an event loop, is about to end, so that a fork waits until it has."""
    _ending.append(threading.get_native_id())


def _before_fork() -> None:
    # A thread that has used TLS takes a lock of OpenSSL's when it ends. A child forked meanwhile would wait for that
    # lock for ever. Joining the thread is not enough: before Python 3.13 it returns before the system's thread ends.
    until = time.monotonic() + _FORK_PATIENCE_SECONDS
    for thread in list(_ending):
        while Path(f"/proc/self/task/{thread}").exists() and time.monotonic() < until:
            time.sleep(0.001)


os.register_at_fork(before=_before_fork)


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _fast_loop() -> _LoopFactory | None:
    # Once the main thread has returned, it may be too late to import it.
    with contextlib.suppress(ImportError, RuntimeError):
        import uvloop

        return uvloop.new_event_loop
    return None


def _are_threads_patched() -> bool:
    """Return whether gevent or eventlet has replaced threads."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return True
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))
