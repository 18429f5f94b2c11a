"""What a worker has leased and not sent yet, by endpoint, and the order in which endpoints get places."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Collection

from attrs import define, field

from unihooks.abc import Claimed


@define
class Leased:
    """A claimed delivery and the last moment (monotonic seconds) at which its request may start."""

    claimed: Claimed
    start_by: float


@define
class Queue:
    """The waiting deliveries of one endpoint.

    Up to `width` of them may be in flight, which may grow to `most`. While one may start, the endpoint waits for a
    place in `waits_in`.
    """

    tenant: str
    width: int
    doubts: int
    is_unreached: bool
    most: int
    waiting: deque[Leased] = field(factory=deque)
    running: int = 0
    waits_in: RoundRobin | None = None


@define(eq=False)
class RoundRobin:
    """Endpoints of one kind that wait for a place, tenants in turn.

    `waiting` and `running` count the deliveries of all doubtful endpoints of this kind, also of those that cannot have
    a place now; those of trusted ones are not counted.
    """

    tenants: OrderedDict[str, deque[str]] = field(factory=OrderedDict)
    waiting: int = 0
    running: int = 0

    def add(self, tenant: str, endpoint_id: str) -> None:
        """Put an endpoint behind the others of its tenant."""
        self.tenants.setdefault(tenant, deque()).append(endpoint_id)

    def take(self, *, newest: bool = False) -> str:
        """Take the first endpoint of the first tenant, or the last one; then the tenant is the last."""
        tenant, endpoints = next(iter(self.tenants.items()))
        endpoint_id = endpoints.pop() if newest else endpoints.popleft()
        if endpoints:
            self.tenants.move_to_end(tenant)
        else:
            del self.tenants[tenant]
        return endpoint_id


@define(eq=False)
class ByAge(RoundRobin):
    """Endpoints that wait for a place, tenants in turn, those of each in the order of what they wait with."""

    _event_ids: dict[str, str] = field(factory=dict)

    @property
    def endpoint_ids(self) -> Collection[str]:
        """Return all endpoints that wait."""
        return self._event_ids.keys()

    def add_in_order(self, tenant: str, endpoint_id: str, event_id: str) -> None:
        """Put an endpoint among the others of its tenant, by the time at which its event was emitted."""
        self._event_ids[endpoint_id] = event_id
        insort(self.tenants.setdefault(tenant, deque()), endpoint_id, key=self._age)

    def take(self, *, newest: bool = False) -> str:
        """Take the oldest endpoint of the first tenant, or the newest one; then the tenant is the last."""
        endpoint_id = super().take(newest=newest)
        self._event_ids.pop(endpoint_id, None)
        return endpoint_id

    def _age(self, endpoint_id: str) -> str:
        return self._event_ids.get(endpoint_id, "")
