"""Open a database once in each process, whatever intervenes: finalisers, signal handlers and forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from attrs import define, field

from unihooks.exceptions import StoreError


class Opened(Protocol):
    """An open database of one process."""

    def close(self) -> None:
        """Finish what is queued, and close."""


T = TypeVar("T", bound=Opened)


class _Inside(threading.local):
    """A thread's note whether others wait for what it is doing: queued jobs, or opening the database."""

    is_busy = False

    def refuse(self) -> NoReturn:
        """Raise an error in a finaliser or a signal handler that would wait for the very thread that it interrupts."""
        raise StoreError(
            "a finaliser or a signal handler has interrupted the store's own work in this thread, and would have to "
            "wait for it; do this outside of them",
            name="store",
        )


inside = _Inside()


@define(eq=False)
class _Here(Generic[T]):
    """The database that one process has opened."""

    lock: Any = field(factory=threading.RLock)
    opened: T | None = None


class PerProcess(Generic[T]):
    """A database that each process opens for itself, once, when it needs it.

    Not every fork runs Python's hooks (uWSGI's does not), so the process's number decides.
    """

    def __init__(self, start: Callable[[], T]) -> None:
        self._start = start
        self._by_process: dict[int, _Here[T]] = {}

    def get(self) -> T:
        """Return the open database; open it if necessary."""
        here = self._by_process.get(os.getpid())
        return self._open() if here is None or here.opened is None else here.opened

    @property
    def opened(self) -> T | None:
        """The open database, None if none is."""
        return self._here().opened

    def close(self, ended: T | None = None) -> None:
        """Close the database, so that `get` opens it again; with an argument, only if this one is open."""
        here = self._here()
        with here.lock:
            if ended is None or here.opened is ended:
                opened, here.opened = here.opened, None
                if opened is not None:
                    opened.close()

    def hold(self, seconds: float) -> bool:
        """Let nobody open or close until `release`; return False if others do so for that long."""
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
            # What the parent opened must never be closed here, so it must not be garbage-collected either.
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
