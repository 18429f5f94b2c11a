"""The clock of the testing kit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from unihooks.testing import FakeClock


def test_time_stands_still_until_advanced():
    clock = FakeClock()
    assert clock() == clock() == clock.now


def test_start_is_given_in_utc():
    clock = FakeClock(datetime(2030, 5, 1, 12, tzinfo=timezone(timedelta(hours=3))))
    assert clock().tzinfo is UTC
    assert clock() == datetime(2030, 5, 1, 9, tzinfo=UTC)


def test_naive_start_is_refused():
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2030, 5, 1))  # noqa: DTZ001


@pytest.mark.parametrize("step", [1.5, timedelta(seconds=1.5)])
def test_advances_by_seconds_or_timedelta(step):
    clock = FakeClock()
    before = clock.now
    assert clock.advance(step) == clock() == before + timedelta(seconds=1.5)


def test_never_goes_back():
    with pytest.raises(ValueError, match="back"):
        FakeClock().advance(-1)


def test_no_step_is_lost_between_threads():
    clock = FakeClock()
    before = clock()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: clock.advance(1), range(200)))
    assert clock() - before == timedelta(seconds=200)


def test_repr_shows_the_time():
    assert repr(FakeClock()) == "FakeClock(2026-01-01T00:00:00+00:00)"
