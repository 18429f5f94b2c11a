"""The library's own threads for calls that block."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Call = Callable[[], None]

_IDLE_SECONDS = 10.0


class Threads:
    """Daemon threads whose calls have results, at most `most` of them.

    Unlike an executor's, they work as long as the process lives, even after its main thread has returned, and a call
    that never ends does not keep the process alive. A forked child starts threads of its own.

    Starting a thread waits until it runs, which takes milliseconds in a busy process. So each thread that takes a call
    starts a free one if there is none, and an event loop that submits calls waits only for the first thread.
    """

    def __init__(self, most: int, name: str, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._most = most
        self._name = name
        self._idle_seconds = idle_seconds
        self._start_anew()

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run a call in the next free thread; its future is cancelled if the threads are closed before it begins."""
        if self._process != os.getpid():
            self._start_anew()
        future: Future[T] = Future()
        if self._is_closed:
            future.cancel()
            return future
        # Not under the lock: a thread that holds it may be waiting for a processor.
        self._calls.put(partial(self._run, future, partial(function, *args)))
        if not self._started:
            self._start_one()
        return future

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a call in one of the threads; cancelling this does not end a call that has begun."""
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self.submit(partial(context.run, function, *args, **kwargs)))

    def close(self) -> None:
        """Begin no more calls; those that have begun end by themselves."""
        self._is_closed = True
        self._calls.put(None)

    async def ended(self) -> None:
        """Wait until no call is running, not even one that its caller no longer awaits."""
        await asyncio.gather(*map(asyncio.wrap_future, list(self._running)), return_exceptions=True)

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._is_closed = False
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: set[Future[Any]] = set()
        self._started = 0
        self._free = 0

    def _start_one(self) -> None:
        with self._lock:
            if self._free or self._started == self._most:
                return
            self._started += 1
            self._free += 1
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # the system allows no more threads
            with self._lock:
                self._started -= 1
                self._free -= 1
                if not self._started:
                    raise

    def _work(self) -> None:
        while (call := self._next()) is not None:
            with self._lock:
                self._free -= 1
            self._start_one()
            call()
            with self._lock:
                self._free += 1

    def _next(self) -> _Call | None:
        while True:
            try:
                call = self._calls.get(timeout=self._idle_seconds)
            except Empty:
                if self._may_end():
                    return None
                continue
            if call is None:
                # The next thread must see it too.
                self._calls.put(None)
            return call

    def _may_end(self) -> bool:
        with self._lock:
            if self._free == 1 < self._started:
                # The others are busy, perhaps forever.
                return False
            self._free -= 1
            self._started -= 1
            # Checked last: a call that comes after this check finds no free thread and starts one.
            if not self._calls.empty():
                self._free += 1
                self._started += 1
                return False
            return True

    def _run(self, future: Future[T], call: Callable[[], T]) -> None:
        if self._is_closed:
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        self._running.add(future)
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where the call's result is awaited
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self._running.discard(future)
