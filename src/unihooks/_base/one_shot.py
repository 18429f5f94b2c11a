"""Wait in one thread for the result of another."""

from __future__ import annotations

import threading
from typing import Any


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
