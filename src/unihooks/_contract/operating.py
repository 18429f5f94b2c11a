"""What an operator looks at: trends over all tenants, a tenant's backlog, what workers hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from unihooks._contract.activity import HourCount


@frozen
class QueueAge:
    """The maximum age of the oldest waiting event or due delivery in the five minutes from `at`."""

    at: datetime
    age_us: int


@frozen(kw_only=True)
class TenantFailures:
    """The number of a tenant's attempts since a time, and how many of them failed."""

    tenant: str
    attempts: int
    failed: int

    @property
    def success_share(self) -> float:
        """Return the share of the attempts that succeeded, from 0 to 1."""
        return 1 - self.failed / self.attempts


@frozen(kw_only=True)
class Trends:
    """The last 24 hours of all tenants.

    `ages` has the queue's age where it was recorded, oldest first; `hours` what was sent in each of 25 hours; `tenants`
    those with the most failed attempts. The last half minute of workers' attempts may still be missing.
    """

    ages: Sequence[QueueAge] = ()
    hours: Sequence[HourCount] = ()
    tenants: Sequence[TenantFailures] = ()


@frozen(kw_only=True)
class Backlog:
    """A tenant's backlog: events to be planned, up to 1,000, and pending deliveries by what they wait for.

    `due` has reached its time, and may wait for a pause or a limit of its endpoint, `in_flight` is being sent, `later`
    waits for its time, `held` for its webhook to be activated or its endpoint to be enabled.
    """

    unplanned: int
    due: int
    in_flight: int
    later: int
    held: int
    oldest_unplanned_at: datetime | None
    oldest_due_at: datetime | None


@frozen(kw_only=True)
class LeasedDelivery:
    """A delivery that a worker holds until `leased_until_at`, or until it records a result; `holder` tells which."""

    holder: int
    id: str
    tenant: str
    webhook_id: str
    endpoint_id: str
    url: str
    product: str
    event_type: str
    attempt_count: int
    leased_until_at: datetime
