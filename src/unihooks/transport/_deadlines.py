"""End what has passed its time, by looking at all of it now and then.

A timer for each request would cost several times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ticker:
    """Call an action every so many seconds for as long as it returns True."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], bool]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._action = action
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick, unless it does so already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if self._action():
            self.start()
