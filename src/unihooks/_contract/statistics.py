"""What a store counts and measures: the health of endpoints, amounts, the operator's overview."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime

from attrs import frozen

from unihooks._contract.activity import ActivityRows, Failures, HourCount
from unihooks._contract.filters import Window
from unihooks._contract.leasing import WorkerSeen
from unihooks._contract.operating import Backlog, LeasedDelivery, Trends
from unihooks._model.health import EndpointHealth
from unihooks._model.jobs import Job
from unihooks._model.log import DeliveryState


@frozen(kw_only=True)
class WebhookHealth:
    """The health of a webhook: that of its endpoints, in their order, its newest delivery, and its last 24 hours.

    `hours` has 25 counts: from the hour of 24 hours ago to the current hour.
    """

    endpoints: tuple[EndpointHealth, ...]
    last_delivery_at: datetime | None
    last_delivery_state: DeliveryState | None
    hours: tuple[HourCount, ...]

    @property
    def failing(self) -> bool:
        """Return whether any endpoint is failing."""
        return any(endpoint.failing for endpoint in self.endpoints)


@frozen(kw_only=True)
class Usage:
    """The usage of a tenant: how much it has, and how much it has done in the last 24 hours.

    A delivery counts by the time of its event, a replay by its own. `stored_bytes` is an estimate: the number of stored
    events and deliveries, times the mean size of the newest ones.
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
    """The number of a tenant's webhooks, and of its due deliveries as `Stats` has them, counted up to 1,000."""

    tenant: str
    webhooks: int
    due: int


@frozen(kw_only=True)
class Stats:
    """The state of the queue over all tenants.

    `oldest_unplanned` is when the oldest event that no worker has planned yet
    was emitted, None if all are. The others are counts, and the workers seen
    within a minute. A delivery is due whose time has come, also where a pause or
    a limit of its endpoint makes it wait. `hook_calls_dropped` counts, for this process, the calls of the dispatcher's
    hooks that were not made because the hooks were too slow. `without_subject` counts the deliveries that today's
    ordered webhooks have got in no order because their events had no subject.
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
    """Counts and measurements; every verb only reads."""

    @abstractmethod
    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        """Return the health of each of the webhooks that belongs to the tenant."""

    @abstractmethod
    def webhook_activity(self, tenant: str, webhook_id: str, since: int) -> ActivityRows:
        """Return the counts of a webhook, from the five minutes of `since` (microseconds since 1970) on.

        `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def webhook_failures(self, tenant: str, webhook_id: str, since: int, most: int) -> Failures:
        """Return the deliveries made since a time that failed or are to be retried; read about `most` of each kind.

        `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        """Return the failing endpoints of all tenants, the one that has failed longest first."""

    @abstractmethod
    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        """Return the endpoints of all tenants with the longest mean durations from an hour on, the slowest first."""

    @abstractmethod
    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        """Return all tenants that ever had a webhook, in descending order of name; positions are names."""

    @abstractmethod
    def usage(self, tenant: str) -> Usage:
        """Return how much a tenant has; an unknown one has nothing."""

    @abstractmethod
    def statistics(self) -> Stats:
        """Return the state of the queue over all tenants; workers seen within 60 s."""

    @abstractmethod
    def trends(self, limit: int) -> Trends:
        """Return the last 24 hours of all tenants, with up to `limit` of those with the most failed attempts."""

    @abstractmethod
    def backlog(self, tenant: str) -> Backlog:
        """Return the backlog of a tenant; that of an unknown one is empty."""

    @abstractmethod
    def leased(self, limit: int) -> list[LeasedDelivery]:
        """Return the deliveries that workers hold, those whose leases end soonest first."""

    @abstractmethod
    def newest_jobs(self, limit: int) -> list[Job]:
        """Return up to `limit` jobs of all tenants, and up to as many unfinished ones; newest first."""

    @abstractmethod
    def oldest_unplanned(self) -> int | None:
        """Return when the oldest unplanned event was made; this is cheap.

        An event of large fan-out that has gone to the end of its tenant's queue is not considered.
        """
