"""Tell the server's time without asking it each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unihooks._base.times import Clock, to_us


class ServerTime:
    """Follow the server's clock by what its answers say; a clock of the host's replaces it.

    Between answers this machine's steady clock counts on, so that a step of
    its wall clock changes nothing. What is told is late by a round trip at
    most, and hardly ever early.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self.clock: Clock | None = None
        self._ask = ask
        self._offset: int | None = None
        self._pinned = threading.local()

    def now(self) -> int:
        """Return the time in microseconds; asks the server the first time."""
        if self.clock is not None:
            return to_us(self.clock())
        pinned: int | None = getattr(self._pinned, "at", None)
        if pinned is not None:
            return pinned
        if self._offset is None:
            self._ask()
        return steady() + (self._offset or 0)

    def learn(self, told: int, before: int) -> None:
        """Take note of a time that the server told after the steady moment `before`."""
        least, most = told - steady(), told - before
        self._offset = least if self._offset is None else min(max(self._offset, least), most)

    @contextmanager
    def pinned(self, at: int) -> Iterator[None]:
        """Let it be `at` for this thread: a change of configuration happens at one exact time."""
        self._pinned.at = at
        try:
            yield
        finally:
            self._pinned.at = None


def steady() -> int:
    """Return microseconds of this machine's steady clock."""
    return time.monotonic_ns() // 1000
