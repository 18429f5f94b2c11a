"""Wait in one thread for what another one does."""

from __future__ import annotations

import threading
from typing import Any


class OneShot:
    """Be a result that one thread waits for, once; a Future, which may serve many, takes several times as long."""

    __slots__ = ("_kept", "_value")

    def __init__(self) -> None:
        self._kept = threading.Lock()
        self._kept.acquire()
        self._value: Any = None

    def set_running_or_notify_cancel(self) -> bool:
        """Say that it is still waited for, as a Future may not be."""
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
            del self  # which the error would keep, and be kept by
