"""A thread that makes the calls of others, who never wait in vain: neither for a dead thread nor for themselves."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from math import inf
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from unihooks._base.per_process import inside
from unihooks.exceptions import StoreError

_LOOK_SECONDS = 1.0
_START_SECONDS = 0.001
_NOTHING = object()


class Patience(threading.local):
    """The limit up to which this thread waits for a database: `ends_at`, a time of `time.monotonic()`."""

    ends_at = inf

    @property
    def is_over(self) -> bool:
        """Whether that time has come."""
        return time.monotonic() >= self.ends_at

    def seconds(self, most: float) -> float:
        """Return how many seconds are left, but at most `most`."""
        return max(min(self.ends_at - time.monotonic(), most), 0.0)

    @contextmanager
    def unlimited(self) -> Iterator[None]:
        """Let the calls in the block wait for as long as they take."""
        before, self.ends_at = self.ends_at, inf
        try:
            yield
        finally:
            self.ends_at = before

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let the calls in the block wait until then, but never longer than an enclosing block allows."""
        before = self.ends_at
        self.ends_at = min(before, time.monotonic() + seconds)
        try:
            yield
        finally:
            self.ends_at = before


class Promise(Future[Any]):
    """A future that knows which thread has to complete it."""

    by: QueueThread[Any] | None = None


class OneShot:
    """A result that one thread waits for, once. A Future can serve many threads, but costs several times as much."""

    __slots__ = ("_kept", "_value", "by")

    def __init__(self) -> None:
        self._kept = threading.Lock()
        self._kept.acquire()
        self._value: Any = _NOTHING
        self.by: QueueThread[Any] | None = None

    def set_running_or_notify_cancel(self) -> bool:
        """Return True: unlike a Future, it cannot be cancelled."""
        return True

    def set_result(self, value: Any) -> None:
        """Let `result` return the value."""
        self._value = value
        self._kept.release()

    def set_exception(self, error: BaseException) -> None:
        """Let `result` raise the error, unless there is a value already."""
        self.set_result(error if self._value is _NOTHING else self._value)

    def result(self, ends_at: float = inf) -> Any:
        """Wait for the result and return it, or raise it if it is an error; TimeoutError after `ends_at`."""
        while not self._kept.acquire(timeout=_LOOK_SECONDS if ends_at == inf else _look_seconds(ends_at)):
            if self.by is not None:
                self.by.look()
            if time.monotonic() >= ends_at and self._value is _NOTHING:
                raise TimeoutError
        if not isinstance(self._value, BaseException):
            return self._value
        try:
            raise self._value
        finally:
            del self  # The error's traceback would keep this frame alive, and the frame, through `self`, the error.


def _look_seconds(ends_at: float) -> float:
    return max(min(_LOOK_SECONDS, ends_at - time.monotonic()), 0.0)


class Queued(Protocol):
    """A call to be made, and the promise that its caller waits for."""

    @property
    def waiter(self) -> Future[Any] | OneShot:
        """The promise that the caller waits for."""


Q = TypeVar("Q", bound=Queued)


class QueueThread(ABC, Generic[Q]):
    """A thread that makes the calls that others queue in its lines; it starts with the first call.

    A finaliser or a signal handler may interrupt a caller at any point and queue a call itself. It would wait for ever
    for a lock that the caller holds, so there is none. `trouble` says what the thread is waiting for, for the errors of
    those who wait for it. After `rest_seconds` without a call it runs `_rest` once, and then waits for the next one.
    """

    trouble = "the store has not answered"

    def __init__(self, name: str, lines: int = 1, *, rest_seconds: float | None = None) -> None:
        self.is_ended = False
        # Settled: the thread has been started, or never will be.
        self._is_settled = self._is_at_work = False
        self._lines: tuple[deque[Q], ...] = tuple(deque() for _ in range(lines))
        self._bell: SimpleQueue[None] = SimpleQueue()
        # The calls that the thread is making: their promises are not kept yet.
        self._taken: list[Q] = []
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._unstarted = [self._thread]
        self._rest_seconds = rest_seconds

    def add(self, call: Q, line: int = 0) -> bool:
        """Queue a call; False if the thread takes no more."""
        if inside.is_busy and isinstance(call.waiter, OneShot):
            inside.refuse()
        if sys.is_finalizing():
            raise StoreError(
                "the interpreter is shutting down and its threads have stopped, so it is too late for this call",
                name="store",
            )
        if not self._is_at_work:
            self._start()
        if isinstance(call.waiter, OneShot | Promise):
            call.waiter.by = self
        self._lines[line].append(call)
        self._bell.put(None)
        if self.is_ended:
            # If the call is no longer in the line, the thread took it before it ended.
            with contextlib.suppress(ValueError):
                self._lines[line].remove(call)
                return False
        return True

    def stop(self) -> None:
        """Finish what is queued, then end the thread."""
        self.is_ended = True
        try:
            self._unstarted.pop()
        except IndexError:
            self._bell.put(None)
            # A finaliser in the thread itself, or a signal handler while it starts, would wait for itself.
            if not inside.is_busy:
                while not self._is_settled:
                    time.sleep(_START_SECONDS)
                with contextlib.suppress(RuntimeError):
                    self._thread.join()
                self.look()
        else:
            self._is_settled = True
            self._close()

    def look(self) -> None:
        """Release waiting callers if the thread is gone: an exception can end it anywhere, even while it does so."""
        if self._is_settled and not self._thread.is_alive():
            self._end(None)

    @abstractmethod
    def _work(self) -> None:
        """Take calls, make them, and pass on their results."""

    @abstractmethod
    def _close(self) -> None:
        """Close the thread's resources."""

    def _take(self, line: deque[Q]) -> bool:
        """Take the next call of a line; False if there is none."""
        while line:
            try:
                # One step of the interpreter, so that an exception raised in this thread from outside cannot lose the
                # call.
                self._taken += map(deque.popleft, [line])
            except IndexError:
                break
            if self._taken[-1].waiter.set_running_or_notify_cancel():
                return True
            self._taken.pop()
        return False

    def _start(self) -> None:
        # A new thread first runs some of Python's own code, in which a finaliser may run, too.
        if self._thread.ident == threading.get_ident():
            inside.refuse()
        inside.is_busy = True
        try:
            self._unstarted.pop().start()
            self._is_settled = True
        except IndexError:
            # Another caller is starting it, or it ended before it could work.
            self.look()
        except BaseException as error:
            self.is_ended = self._is_settled = True
            self._bell.put(None)
            self.look()
            if isinstance(error, RuntimeError):
                raise StoreError(f"the store's thread cannot be started: {error}", name="store") from error
            raise
        finally:
            inside.is_busy = False

    def _live(self) -> None:
        inside.is_busy = self._is_at_work = True
        try:
            while self._wait():
                self._work()
                self._taken.clear()
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._close()

    def _rest(self) -> None:
        """Give up what is not needed until the next call."""

    def _wait(self) -> bool:
        seconds = self._rest_seconds
        while not any(self._lines):
            if self.is_ended:
                return False
            try:
                self._bell.get(timeout=seconds)
            except Empty:
                seconds = None
                self._rest()
        return True

    def _end(self, error: BaseException | None) -> None:
        self.is_ended = True
        for line in self._lines:
            with contextlib.suppress(IndexError):
                while True:
                    self._taken += map(deque.popleft, [line])
        for call in [*self._taken]:
            with contextlib.suppress(Exception):
                call.waiter.set_exception(ended(error))


def ended(error: BaseException | None) -> StoreError:
    """Return the error for callers that wait for a thread that has died."""
    how = "" if error is None else f" with {error!r}"
    failure = StoreError(
        f"a thread of the store ended{how}; it is not known whether this was stored: check, then try again",
        name="store",
    )
    failure.__cause__ = error
    return failure


def given_up(seconds: float, waiter: object = None) -> StoreError:
    """Return the error for those whose events were not confirmed in time."""
    by = getattr(waiter, "by", None)
    return StoreError(
        f"the event was not confirmed within {seconds:g} s ({QueueThread.trouble if by is None else by.trouble}), and "
        "may have been stored or not; repeating the call is safe with an idempotency_key: it is stored once then",
        name="emit_deadline",
    )
