"""Times as the stores keep them: whole microseconds since 1970, in UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_US = 2**62


def system_clock() -> datetime:
    """Return this machine's time as an aware datetime in UTC."""
    return datetime.now(UTC)


def now_us(clock: Clock) -> int:
    """Return the clock's time as microseconds since 1970."""
    # Called several times per delivery, so the system clock is read without making a datetime.
    return time.time_ns() // 1000 if clock is system_clock else to_us(clock())


def to_us(moment: datetime) -> int:
    """Return an aware datetime of any time zone as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return microseconds since 1970 as an aware datetime in UTC."""
    # Called for every event; with a keyword argument it would take 50 % longer.
    return _EPOCH + timedelta(0, 0, microseconds)


def optional_microseconds(age: timedelta | None) -> int | None:
    """Return a duration in microseconds, or None for None; `timedelta.max` is more than databases can keep."""
    return None if age is None else min(age // _MICROSECOND, _MOST_US)


def optional_from_us(microseconds: int | None) -> datetime | None:
    """Return what `from_us` does, or None for None."""
    return None if microseconds is None else from_us(microseconds)
