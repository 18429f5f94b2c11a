"""Open a database once in each process, whatever comes in between: finalisers, signal handlers and forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from attrs import define, field

from unihooks.exceptions import StoreError


class Opened(Protocol):
    """What is open of a database in one process."""

    def close(self) -> None:
        """Finish what is queued, and close."""


T = TypeVar("T", bound=Opened)


class _Inside(threading.local):
    """Whether this thread does what others wait for: work that is queued, or opening."""

    is_busy = False

    def refuse(self) -> NoReturn:
        """Raise what a finaliser or a signal handler gets that would wait for the very thread it interrupts."""
        raise StoreError(
            "a finaliser or a signal handler has interrupted the store's own work in this thread, and would have to "
            "wait for it; do this outside of them",
            name="store",
        )


inside = _Inside()


@define(eq=False)
class _Here(Generic[T]):
    """What one process has opened."""

    lock: Any = field(factory=threading.RLock)
    opened: T | None = None


class PerProcess(Generic[T]):
    """What each process opens for itself: once, when it is needed.

    Not every fork is told of (uWSGI's is not), so it is the process's number that counts.
    """

    def __init__(self, start: Callable[[], T]) -> None:
        self._start = start
        self._by_process: dict[int, _Here[T]] = {}

    def get(self) -> T:
        """Return what is open; open it if need be."""
        here = self._by_process.get(os.getpid())
        return self._open() if here is None or here.opened is None else here.opened

    @property
    def opened(self) -> T | None:
        """What is open, None if nothing is."""
        return self._here().opened

    def close(self, ended: T | None = None) -> None:
        """Close what is open, so that `get` opens again; only what is given, if it is."""
        here = self._here()
        with here.lock:
            if ended is None or here.opened is ended:
                opened, here.opened = here.opened, None
                if opened is not None:
                    opened.close()

    def hold(self, seconds: float) -> bool:
        """Let nobody open or close until `release`; False if somebody does for that long."""
        return bool(self._here().lock.acquire(timeout=seconds))

    def release(self) -> None:
        """Let others open and close again."""
        self._here().lock.release()

    @property
    def is_open_in_parent(self) -> bool:
        """Whether it was open when this process was forked."""
        here = self._here()
        return any(other.opened is not None for other in self._by_process.values() if other is not here)

    def _here(self) -> _Here[T]:
        process = os.getpid()
        if process not in self._by_process:
            # What is the parent's must never be closed here, and so not be collected.
            _inherited.extend(self._by_process.values())
            self._by_process.setdefault(process, _Here())
        return self._by_process[process]

    def _open(self) -> T:
        if inside.is_busy:
            inside.refuse()
        here = self._here()
        with here.lock:
            inside.is_busy = True
            try:
                if here.opened is None:
                    here.opened = self._start()
                return here.opened
            finally:
                inside.is_busy = False


_inherited: list[object] = []
