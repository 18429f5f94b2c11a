"""Threads of the library's own for calls that block."""

from __future__ import annotations

import asyncio
import contextlib
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

_Job = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Threads:
    """Daemon threads that run calls one after the other, at most `most` of them, started as they are needed.

    Unlike an executor's, they work for as long as the process does, also when
    its main thread has returned; and a call that never ends does not keep the
    process alive. In a forked child they start anew.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._start_anew()

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run a call in one of the threads; its future is cancelled if the threads are closed before it begins."""
        if self._process != os.getpid():
            self._start_anew()
        future: Future[T] = Future()
        self._jobs.put((future, function, args))
        if self._closed:
            self._cancel_waiting()
            return future
        try:
            self._idle.get_nowait()
        except Empty:
            self._start_one()
        return future

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a call in one of the threads; cancelling this does not end a call that has begun."""
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self.submit(partial(context.run, function, *args, **kwargs)))

    def close(self) -> None:
        """Begin nothing more; what has begun ends on its own."""
        self._closed = True
        self._cancel_waiting()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Unlike a semaphore, it can be used in a finaliser that interrupts its own use.
        self._idle: SimpleQueue[None] = SimpleQueue()
        self._starting = threading.RLock()
        self._started = 0
        self._closed = False

    def _start_one(self) -> None:
        with self._starting:
            if self._closed or self._started >= self._most:
                return
            self._started += 1
            number = self._started
        threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _run(*job)
            del job
            self._idle.put(None)
        # Whoever waits beside ends, too.
        self._jobs.put(None)

    def _cancel_waiting(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    job[0].cancel()
        self._jobs.put(None)


def _run(future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function(*args)
    except BaseException as error:  # noqa: BLE001 - raised where the call's result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
