"""How many attempts were made in which hour, and how long they took: the counts that a store keeps, and their sums.

Hours are whole hours in UTC.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from math import sqrt

from attrs import frozen

from unihooks._base.times import SECOND, from_us

HOUR = 3600 * SECOND
DAY_HOURS = 24
# The counts of an hour are kept in this many slices until the hour after it is over.
SLICES = 12
SLICE = HOUR // SLICES
# The upper bounds of the buckets in milliseconds, from 1 ms to 65 s. Each is 1.41 times the one before, so that the
# geometric middle of a bucket is off by a factor of 1.19 at most. Stores keep the numbers of buckets.
BOUNDS_MS = tuple(round(2 ** (step / 2), 3) for step in range(33))
_BOUNDS_US = tuple(round(bound * 1_000) for bound in BOUNDS_MS)


@frozen
class HourRow:
    """The counts of a store for the hour that begins `hour` hours after 1970, or for a slice of it."""

    hour: int
    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    slice: int = 0


@frozen
class EndpointRow:
    """The counts of a store for an endpoint; `within` has the number of attempts within each of `BOUNDS_MS`."""

    endpoint_id: str
    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    duration_us: int = 0
    within: Sequence[int] = (0,) * len(BOUNDS_MS)


@frozen
class ActivityRows:
    """The counts of a store for a webhook's current endpoints: by slices of time, oldest first, and by endpoint.

    Slices without attempts have no row. Counts from before the previous hour are in slice 0 of their hour.
    """

    slices: Sequence[HourRow]
    endpoints: Sequence[EndpointRow]


@frozen(kw_only=True)
class HourCount:
    """The number of attempts in one hour, and how many of them succeeded or failed."""

    hour: datetime
    attempts: int
    delivered: int
    failed: int


@frozen(kw_only=True)
class Activity:
    """The attempts for a webhook's current endpoints, from the hour of `since` to the current hour.

    `success_share` is the share of attempts that succeeded (0 to 1). Latencies are in milliseconds; percentiles are
    estimated from a histogram, to within 20 % from 1 ms to 65 s. All of them are None if there were no attempts.
    """

    since: datetime
    hours: tuple[HourCount, ...]
    attempts: int
    delivered: int
    failed: int
    success_share: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@frozen(kw_only=True)
class StepCount:
    """The number of attempts in one step of time, which begins at `at`, and how many of them succeeded or failed."""

    at: datetime
    attempts: int
    delivered: int
    failed: int


@frozen(kw_only=True)
class EndpointActivity:
    """The attempts of one endpoint, or of all together; latencies as in `Activity`."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None

    @property
    def success_share(self) -> float | None:
        """Return the share of attempts that succeeded, None if there were none."""
        return self.delivered / self.attempts if self.attempts else None


@frozen(kw_only=True)
class Report:
    """The attempts for a webhook's current endpoints since a time: by step, in total, and by endpoint id.

    Each step lasts `step` and begins at a multiple of it (UTC); the last is the current one. An endpoint without
    attempts is left out.
    """

    since: datetime
    step: timedelta
    steps: tuple[StepCount, ...]
    total: EndpointActivity
    endpoints: Mapping[str, EndpointActivity]


@frozen(kw_only=True)
class StatusFailures:
    """The number of deliveries whose last response had a status code, or that got none."""

    status_code: int | None
    count: int


@frozen(kw_only=True)
class TypeFailures:
    """The number of deliveries of an event type that failed or are to be retried."""

    product: str
    event_type: str
    count: int


@frozen(kw_only=True)
class Failures:
    """The deliveries made since a time that failed or are to be retried, by their last response and by event type.

    The most frequent come first. If there are many, only the newest are counted, and `more` is True. `ended` is the
    number of those that failed for good.
    """

    count: int
    ended: int
    more: bool
    by_status: tuple[StatusFailures, ...]
    by_type: tuple[TypeFailures, ...]


def activity(rows: ActivityRows, since: int, now: int, longest_ms: float) -> Activity:
    """Sum up the hours from that of `since` to that of `now` (microseconds since 1970)."""
    total = _total(rows.endpoints, longest_ms)
    duration_us = sum(row.duration_us for row in rows.endpoints)
    return Activity(
        since=from_us(since),
        hours=hour_counts(rows.slices, since, now),
        attempts=total.attempts,
        delivered=total.delivered,
        failed=total.failed,
        success_share=total.success_share,
        mean_ms=duration_us / total.attempts / 1000 if total.attempts else None,
        p50_ms=total.p50_ms,
        p95_ms=total.p95_ms,
        p99_ms=total.p99_ms,
    )


def report(rows: ActivityRows, since: int, now: int, step: int, longest_ms: float) -> Report:
    """Return the steps of this many microseconds from that of `since` to that of `now`, and the endpoints."""
    steps = _summed(rows.slices, step)
    return Report(
        since=from_us(since),
        step=timedelta(microseconds=step),
        steps=tuple(_step_count(at * step, steps.get(at, ())) for at in range(since // step, now // step + 1)),
        total=_total(rows.endpoints, longest_ms),
        endpoints={row.endpoint_id: _total([row], longest_ms) for row in rows.endpoints},
    )


def hour_counts(rows: Iterable[HourRow], since: int, now: int) -> tuple[HourCount, ...]:
    """Return a count for each hour from that of `since` to that of `now`, with zeros for empty hours."""
    hours = _summed(rows, HOUR)
    counted = (_step_count(hour * HOUR, hours.get(hour, ())) for hour in range(since // HOUR, now // HOUR + 1))
    return tuple(
        HourCount(hour=one.at, attempts=one.attempts, delivered=one.delivered, failed=one.failed) for one in counted
    )


def _summed(rows: Iterable[HourRow], step: int) -> dict[int, list[HourRow]]:
    """Return the rows that begin in each step of this many microseconds."""
    found: dict[int, list[HourRow]] = {}
    for row in rows:
        found.setdefault((row.hour * HOUR + row.slice * SLICE) // step, []).append(row)
    return found


def _step_count(at: int, rows: Sequence[HourRow]) -> StepCount:
    return StepCount(
        at=from_us(at),
        attempts=sum(row.attempts for row in rows),
        delivered=sum(row.delivered for row in rows),
        failed=sum(row.failed for row in rows),
    )


def _total(rows: Sequence[EndpointRow], longest_ms: float) -> EndpointActivity:
    attempts = sum(row.attempts for row in rows)
    within = [sum(column) for column in zip(*(row.within for row in rows), strict=True)] or [0] * len(BOUNDS_MS)
    p50, p95, p99 = (percentile(within, attempts, share, longest_ms) for share in (0.5, 0.95, 0.99))
    return EndpointActivity(
        attempts=attempts,
        delivered=sum(row.delivered for row in rows),
        failed=sum(row.failed for row in rows),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def slice_of(now: int) -> int:
    """Return the number of the slice of its hour in which a time lies.

    >>> slice_of(1_000 * HOUR + 5 * 60 * SECOND)
    1
    """
    return now % HOUR // SLICE


def bucket(duration_us: int) -> int:
    """Return the index of the bucket that a duration falls into; the last bucket has no upper bound."""
    return bisect_left(_BOUNDS_US, duration_us)


def up_to(buckets: Mapping[int, int]) -> list[int]:
    """Return how many durations are within each bound, given how many are in each bucket."""
    return list(accumulate(buckets.get(index, 0) for index in range(len(BOUNDS_MS))))


def percentile(within: Sequence[int], total: int, share: float, longest_ms: float) -> float | None:
    """Estimate a percentile in milliseconds, such as the p95 for the share 0.95; None if `total` is 0.

    `within` says how many durations are within each bound. The estimate is the geometric middle of the bucket, which
    for those past the last bound reaches up to `longest_ms`.
    """
    if total <= 0:
        return None
    # The first bucket has no lower bound, and is taken to be as wide as the others.
    edges = (BOUNDS_MS[0] / BOUNDS_MS[1], *BOUNDS_MS, max(longest_ms, BOUNDS_MS[-1]))
    index = bisect_left(within, max(share * total, 1))
    return sqrt(edges[index] * edges[index + 1])
