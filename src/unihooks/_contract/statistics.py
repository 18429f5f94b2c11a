"""What is counted and measured: an endpoint's health, a webhook's activity, an operator's overview.

The second half of a store's contract gives these; hours are whole ones, in UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from attrs import frozen

from unihooks._base.times import SECOND, from_us
from unihooks._contract.filters import Window
from unihooks._contract.histogram import BOUNDS_MS, percentile
from unihooks._model.log import DeliveryState

HOUR = 3600 * SECOND
DAY_HOURS = 24


@frozen
class HourRow:
    """Be what a store counted in the hour that begins at `hour` hours since 1970.

    `within` says how many attempts took no longer than each of the bounds of `_durations`.
    """

    hour: int
    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    duration_us: int = 0
    within: Sequence[int] = (0,) * len(BOUNDS_MS)


@frozen(kw_only=True)
class HourCount:
    """Be the attempts of one hour: how many, how many delivered, how many failed."""

    hour: datetime
    attempts: int
    delivered: int
    failed: int


@frozen(kw_only=True)
class EndpointHealth:
    """Be how an endpoint does.

    It has been failing since `failing_since`, with `failures` attempts that
    failed in a row; None and 0 when the last attempt succeeded.
    `next_attempt_at` is None when nothing is pending, or it is held.
    """

    endpoint_id: str
    failing_since: datetime | None
    failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    next_attempt_at: datetime | None

    @property
    def failing(self) -> bool:
        """Say whether the last attempt failed."""
        return self.failing_since is not None


@frozen(kw_only=True)
class WebhookHealth:
    """Be how a webhook does: its endpoints in their order, its newest delivery, and its last 24 hours.

    `hours` holds one count for each hour from that in which the time 24 hours
    ago lies to the running one, 25 in all.
    """

    endpoints: tuple[EndpointHealth, ...]
    last_delivery_at: datetime | None
    last_delivery_state: DeliveryState | None
    hours: tuple[HourCount, ...]

    @property
    def failing(self) -> bool:
        """Say whether any endpoint fails."""
        return any(endpoint.failing for endpoint in self.endpoints)


@frozen(kw_only=True)
class Activity:
    """Be what a webhook's present endpoints were sent, from the hour of `since` to the running one.

    `success_share` is the share of attempts that were delivered (0 to 1). The
    latencies are in milliseconds; percentiles are estimates, exact to the
    bucket of a histogram (50 ms to 10 s). All are None without attempts.
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
class FailingEndpoint:
    """Be an endpoint whose last attempts failed, with whose it is."""

    tenant: str
    webhook_id: str
    webhook_name: str
    endpoint_id: str
    url: str
    failing_since: datetime
    failures: int


@frozen(kw_only=True)
class SlowEndpoint:
    """Be an endpoint and how long its attempts took, in milliseconds; `p95_ms` is an estimate."""

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
    """Be how many webhooks a tenant has and how many of its deliveries are due; `due` stops at 1,000."""

    tenant: str
    webhooks: int
    due: int


class Statistics(ABC):
    """Be the part of a store that counts and measures; every verb only reads."""

    @abstractmethod
    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        """Return the health of those of the webhooks that the tenant has."""

    @abstractmethod
    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        """Return what was counted for the webhook's present endpoints in each hour from `since` (hours since 1970) on.

        Sums over endpoints, oldest first, without hours in which there was nothing; `NotFound` if there is no such
        webhook.
        """

    @abstractmethod
    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        """Return endpoints of all tenants that fail, the longest failing first."""

    @abstractmethod
    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        """Return endpoints of all tenants by mean duration from an hour (since 1970) on, the slowest first."""

    @abstractmethod
    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        """Return tenants that ever had a webhook, by name, the last one first; positions are names."""


def activity(rows: Iterable[HourRow], since: int, now: int, longest_ms: float) -> Activity:
    """Sum up what was counted in each hour from that of `since` to that of `now` (microseconds since 1970)."""
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
    """Return one count for each hour from that of `since` to that of `now`; 0 where nothing was counted."""
    counted = {row.hour: row for row in rows}
    return tuple(_hour_count(counted.get(hour, HourRow(hour))) for hour in range(since // HOUR, now // HOUR + 1))


def _hour_count(row: HourRow) -> HourCount:
    return HourCount(hour=from_us(row.hour * HOUR), attempts=row.attempts, delivered=row.delivered, failed=row.failed)
