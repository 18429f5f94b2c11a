"""What a store counts and measures: the health of endpoints, the activity of webhooks, the operator's overview.

Hours are whole hours in UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from math import sqrt

from attrs import frozen

from unihooks._base.times import SECOND, from_us
from unihooks._contract.filters import Window
from unihooks._contract.leasing import WorkerSeen
from unihooks._model.health import EndpointHealth
from unihooks._model.log import DeliveryState

HOUR = 3600 * SECOND
DAY_HOURS = 24
# What is counted in an hour is kept apart in so many slices until the hour after it is over.
SLICES = 12
# The upper bounds of the buckets in milliseconds, from 1 ms to 65 s. Each is 1.41 times the one before, so that the
# geometric middle of a bucket is off by a factor of 1.19 at most. Stores keep the numbers of buckets.
BOUNDS_MS = tuple(round(2 ** (step / 2), 3) for step in range(33))
_BOUNDS_US = tuple(round(bound * 1_000) for bound in BOUNDS_MS)


@frozen
class HourRow:
    """What a store counted in the hour that begins `hour` hours after 1970.

    `within` says how many attempts took no longer than each of `BOUNDS_MS`.
    """

    hour: int
    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    duration_us: int = 0
    within: Sequence[int] = (0,) * len(BOUNDS_MS)


@frozen(kw_only=True)
class HourCount:
    """The number of attempts in one hour, and how many of them delivered or failed."""

    hour: datetime
    attempts: int
    delivered: int
    failed: int


@frozen(kw_only=True)
class WebhookHealth:
    """The health of a webhook: that of its endpoints in their order, its newest delivery, and its last 24 hours.

    `hours` has 25 counts: from the hour of 24 hours ago to the current hour.
    """

    endpoints: tuple[EndpointHealth, ...]
    last_delivery_at: datetime | None
    last_delivery_state: DeliveryState | None
    hours: tuple[HourCount, ...]

    @property
    def failing(self) -> bool:
        """Tell whether any endpoint is failing."""
        return any(endpoint.failing for endpoint in self.endpoints)


@frozen(kw_only=True)
class Activity:
    """The attempts for a webhook's present endpoints, from the hour of `since` to the current hour.

    `success_share` is the share of attempts that delivered (0 to 1). Latencies are in milliseconds; percentiles are
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
class Usage:
    """How much a tenant has, and how much it has done in the last 24 hours.

    A delivery counts by the time of its event, a replay by its own. `stored_bytes` is an estimate: the number of events
    and deliveries that are kept, by the mean size of the newest ones.
    """

    webhooks: int
    endpoints: int
    events_24h: int
    deliveries_24h: int
    pending: int
    stored_bytes: int


@frozen(kw_only=True)
class FailingEndpoint:
    """An endpoint whose health is failing, with its webhook and tenant.

    `failures` attempts in a row have failed since `failing_since`; 0 and None if the last one succeeded.
    """

    tenant: str
    webhook_id: str
    webhook_name: str
    endpoint_id: str
    url: str
    failing_since: datetime | None
    failures: int


@frozen(kw_only=True)
class SlowEndpoint:
    """An endpoint and the duration of its attempts in milliseconds; `p95_ms` is an estimate."""

    tenant: str
    webhook_id: str
    webhook_name: str
    endpoint_id: str
    url: str
    attempts: int
    mean_ms: float
    p95_ms: float


@frozen(kw_only=True)
class TenantStatistics:
    """The number of a tenant's webhooks, and of its due deliveries, which are counted up to 1,000."""

    tenant: str
    webhooks: int
    due: int


@frozen(kw_only=True)
class Stats:
    """The state of the queue over all tenants.

    `oldest_unplanned` is when the oldest event that no worker has planned yet
    was emitted, None if all are. The others are counts, and the workers seen
    within a minute. `hook_calls_dropped` is of this process: calls of the
    dispatcher's hooks that were not made, since the hooks were too slow. `without_subject` are deliveries that the
    ordered webhooks of today have got in no order, since their events had no subject.
    """

    oldest_unplanned: datetime | None
    due: int
    held: int
    in_flight: int
    failing_endpoints: int
    workers: Sequence[WorkerSeen]
    hook_calls_dropped: int = 0
    without_subject: int = 0


class Statistics(ABC):
    """What is counted and measured; every verb only reads."""

    @abstractmethod
    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        """Return the health of each of the webhooks that belongs to the tenant."""

    @abstractmethod
    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        """Return the counts of each hour from `since` (hours since 1970), summed over the webhook's present endpoints.

        Oldest first, without empty hours; `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        """Return the failing endpoints of all tenants, the one that has failed longest first."""

    @abstractmethod
    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        """Return the endpoints of all tenants with the longest mean durations since an hour, the slowest first."""

    @abstractmethod
    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        """Return the tenants that ever had a webhook, in descending order of name; positions are names."""

    @abstractmethod
    def usage(self, tenant: str) -> Usage:
        """Return how much a tenant has, which is nothing for an unknown one."""

    @abstractmethod
    def statistics(self) -> Stats:
        """Return the state of the queue over all tenants; workers seen within 60 s."""

    @abstractmethod
    def oldest_unplanned(self) -> int | None:
        """Return when the oldest event that is not planned was made; cheap.

        One of large fan-out that has gone to the end of its tenant's queue is not looked for there.
        """


def activity(rows: Iterable[HourRow], since: int, now: int, longest_ms: float) -> Activity:
    """Sum up the hours from that of `since` to that of `now` (microseconds since 1970)."""
    counted = list(rows)
    attempts = sum(row.attempts for row in counted)
    delivered = sum(row.delivered for row in counted)
    within = [sum(column) for column in zip(*(row.within for row in counted), strict=True)] or [0] * len(BOUNDS_MS)
    p50, p95, p99 = (percentile(within, attempts, share, longest_ms) for share in (0.5, 0.95, 0.99))
    return Activity(
        since=from_us(since),
        hours=hour_counts(counted, since, now),
        attempts=attempts,
        delivered=delivered,
        failed=sum(row.failed for row in counted),
        success_share=delivered / attempts if attempts else None,
        mean_ms=sum(row.duration_us for row in counted) / attempts / 1000 if attempts else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def hour_counts(rows: Iterable[HourRow], since: int, now: int) -> tuple[HourCount, ...]:
    """Return a count for each hour from that of `since` to that of `now`, with zeros for empty hours."""
    counted = {row.hour: row for row in rows}
    hours = (counted.get(hour, HourRow(hour)) for hour in range(since // HOUR, now // HOUR + 1))
    return tuple(
        HourCount(hour=from_us(row.hour * HOUR), attempts=row.attempts, delivered=row.delivered, failed=row.failed)
        for row in hours
    )


def slice_of(now: int) -> int:
    """Return the number of the slice of its hour that a time lies in.

    >>> slice_of(1_000 * HOUR + 5 * 60 * SECOND)
    1
    """
    return now % HOUR // (HOUR // SLICES)


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
