"""A clock that moves only when a test says so."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that a test sets; safe to share between threads.

    >>> clock = FakeClock()
    >>> clock.advance(90)
    datetime.datetime(2026, 1, 1, 0, 1, 30, tzinfo=datetime.timezone.utc)
    >>> clock() == clock.now
    True
    """

    def __init__(self, start: datetime = _START) -> None:
        if not isinstance(start, datetime):
            raise TypeError(f"start must be an aware datetime, not {type(start).__name__}")
        if start.tzinfo is None:
            raise ValueError("start has no time zone; pass an aware datetime")
        self._now = start.astimezone(UTC)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"FakeClock({self.now.isoformat()})"

    def __call__(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return self.now

    @property
    def now(self) -> datetime:
        """The time as an aware datetime in UTC."""
        with self._lock:
            return self._now

    def advance(self, by: float | timedelta) -> datetime:
        """Advance by seconds or a `timedelta`, and return the new time."""
        if not isinstance(by, timedelta | int | float):
            raise TypeError(f"a clock advances by seconds or a timedelta, not by {type(by).__name__}")
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta():
            raise ValueError("a clock cannot go back; advance it by zero or more")
        with self._lock:
            self._now += step
            return self._now
