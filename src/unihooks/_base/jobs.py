"""Do jobs in a thread of one's own, and let nobody wait in vain: neither for a dead thread nor for itself."""

from __future__ import annotations

import contextlib
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from unihooks._base.per_process import inside
from unihooks.exceptions import StoreError


class OneShot:
    """A result that one thread waits for, once; a Future can serve many threads, but takes several times as long."""

    __slots__ = ("_kept", "_value")

    def __init__(self) -> None:
        self._kept = threading.Lock()
        self._kept.acquire()
        self._value: Any = None

    def set_running_or_notify_cancel(self) -> bool:
        """Return True: unlike a Future, it cannot be cancelled."""
        return True

    def set_result(self, value: Any) -> None:
        """Let `result` return the value."""
        self._value = value
        self._kept.release()

    def set_exception(self, error: BaseException) -> None:
        """Let `result` raise the error."""
        self.set_result(error)

    def result(self) -> Any:
        """Wait for the result and return it, or raise it if it is an error."""
        self._kept.acquire()
        if not isinstance(self._value, BaseException):
            return self._value
        try:
            raise self._value
        finally:
            del self  # the error's traceback would keep this frame alive, and through `self` the error itself


class Job(Protocol):
    """What is to be done, for somebody who waits for its outcome."""

    @property
    def waiter(self) -> Future[Any] | OneShot:
        """Who waits."""


J = TypeVar("J", bound=Job)


class JobThread(ABC, Generic[J]):
    """A thread that does what others queue in its lines; it starts with the first job.

    Whoever queues may be interrupted at any point by a finaliser or a signal handler that queues, too; so this needs
    no lock, since such a one would wait for it without end.
    """

    def __init__(self, name: str, lines: int = 1) -> None:
        self.is_ended = False
        self._is_alive = False
        self._lines: tuple[deque[J], ...] = tuple(deque() for _ in range(lines))
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._gone: SimpleQueue[None] = SimpleQueue()
        # What the thread is at; whoever waits for one of these has not been told of its outcome.
        self._taken: list[J] = []
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._unstarted = [self._thread]

    def add(self, job: J, line: int = 0) -> bool:
        """Queue a job; False if the thread takes no more."""
        if inside.is_busy:
            inside.refuse()
        if sys.is_finalizing():
            raise StoreError(
                "the interpreter is shutting down, and its threads stand still: it is too late", name="store"
            )
        if not self._is_alive:
            self._start()
        self._lines[line].append(job)
        self._bell.put(None)
        if self.is_ended:
            # Where it is gone from the line, the thread has taken it before it ended.
            with contextlib.suppress(ValueError):
                self._lines[line].remove(job)
                return False
        return True

    def stop(self) -> None:
        """Finish what is queued, then end the thread."""
        self.is_ended = True
        try:
            self._unstarted.pop()
        except IndexError:
            self._bell.put(None)
            # A finaliser in the thread itself, or a signal handler while it starts, would wait for ever.
            if not inside.is_busy:
                self._gone.get()
                with contextlib.suppress(RuntimeError):
                    self._thread.join()
        else:
            self._close()

    @abstractmethod
    def _work(self) -> None:
        """Take jobs, do them, and tell those who wait."""

    @abstractmethod
    def _close(self) -> None:
        """Close what the thread used."""

    def _take(self, line: deque[J]) -> bool:
        """Take the next job of a line; False if there is none."""
        while line:
            try:
                # One step of the interpreter, so that what others raise in this thread cannot lose the job.
                self._taken += map(deque.popleft, [line])
            except IndexError:
                break
            if self._taken[-1].waiter.set_running_or_notify_cancel():
                return True
            self._taken.pop()
        return False

    def _start(self) -> None:
        # A new thread runs a little of Python's own code first, where a finaliser may come, too.
        if self._thread.ident == threading.get_ident():
            inside.refuse()
        inside.is_busy = True
        try:
            self._unstarted.pop().start()
        except IndexError:
            """Somebody else is starting it."""
        except BaseException as error:
            self._fail(error, ())
            self._gone.put(None)
            if isinstance(error, RuntimeError):
                raise StoreError(f"the store's thread cannot be started: {error}", name="store") from error
            raise
        finally:
            inside.is_busy = False

    def _live(self) -> None:
        inside.is_busy = True
        self._is_alive = True
        try:
            while self._wait():
                self._work()
                self._taken.clear()
        except BaseException as error:
            self._fail(error, self._taken)
            raise
        finally:
            try:
                self._close()
            finally:
                self._gone.put(None)

    def _wait(self) -> bool:
        while not any(self._lines):
            if self.is_ended:
                return False
            self._bell.get()
        return True

    def _fail(self, error: BaseException, taken: Iterable[J]) -> None:
        self.is_ended = True
        self._bell.put(None)
        jobs = [*taken]
        for line in self._lines:
            with contextlib.suppress(IndexError):
                while True:
                    jobs.append(line.popleft())
        for job in jobs:
            with contextlib.suppress(Exception):
                job.waiter.set_exception(ended(error))


def ended(error: BaseException) -> StoreError:
    """Return what those are told who wait for a thread that an error has ended."""
    failure = StoreError(
        f"a thread of the store ended with {error!r}; whether this was stored is not known: look, then try again",
        name="store",
    )
    failure.__cause__ = error
    return failure
