"""End what has passed its time, by looking at all of it now and then.

A timer for each request would cost several times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ticker:
    """Call an action after so many seconds, and again after as many as it returns, until that is None."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], float | None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._action = action
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick, unless it does so already."""
        if self._timer is None:
            self._start(self._seconds)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        seconds = self._action()
        if seconds is not None:
            self._start(seconds)

    def _start(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._tick)
