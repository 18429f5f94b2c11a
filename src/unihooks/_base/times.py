"""Time as the stores keep it: whole microseconds since 1970, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    """Return the time of this machine, aware, in UTC."""
    return datetime.now(UTC)


def now_us(clock: Clock) -> int:
    """Return the clock's time as microseconds since 1970."""
    # Asked several times for each delivery; a datetime would be a detour.
    return time.time_ns() // 1000 if clock is system_clock else to_us(clock())


def to_us(moment: datetime) -> int:
    """Return microseconds since 1970 for an aware datetime of any zone."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the aware UTC datetime of `microseconds` since 1970."""
    # A keyword here takes half as long again, once for each event.
    return _EPOCH + timedelta(0, 0, microseconds)


def optional_microseconds(age: timedelta | None) -> int | None:
    """Return the length of a time in microseconds, or None for None."""
    return None if age is None else age // _MICROSECOND


def optional_from_us(microseconds: int | None) -> datetime | None:
    """Return `from_us`, or None for None."""
    return None if microseconds is None else from_us(microseconds)
