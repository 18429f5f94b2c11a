"""The server's time, without asking for it each time."""

from __future__ import annotations

import time
from collections.abc import Callable

from unihooks.stores.sql.transaction import StoreClock


class ServerClock(StoreClock):
    """The server's clock, estimated from its responses; a clock of the host's replaces it.

    Between responses this machine's monotonic clock counts on, so that a step of its wall clock changes nothing. The
    time is late by a round trip at most, and hardly ever early.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__()
        self._ask = ask
        self._offset: int | None = None

    def own_time(self) -> int:
        """Return the server's time in microseconds; ask the server the first time."""
        if self._offset is None:
            self._ask()
        return steady() + (self._offset or 0)

    def for_host(self, at: int) -> str | None:
        """Return the time of an event as text; None stands for the server's own time."""
        return None if self.clock is None else str(at)

    def learn(self, told: int, before: int) -> None:
        """Note a time that the server returned after the monotonic time `before`."""
        least, most = told - steady(), told - before
        self._offset = least if self._offset is None else min(max(self._offset, least), most)


def steady() -> int:
    """Return this machine's monotonic time in microseconds."""
    return time.monotonic_ns() // 1000
