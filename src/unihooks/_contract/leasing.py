"""The values that travel between workers and a store: leases, claimed deliveries, results.

They are made for every delivery, so they are plain, and times are microseconds. Nobody changes them, but those that are
made one by one are not frozen, since attrs would take three times as long to make them.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from attrs import Factory, define, frozen

from unihooks._base.sentences import Kept
from unihooks._base.times import DAY, SECOND
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState

HELD_TOO_LONG = Kept("held-too-long", "held for 5 days: the webhook stayed inactive or the endpoint disabled")
HELD_LIMIT_US = 5 * DAY
ENDPOINT_REMOVED = Kept("endpoint-removed", "the endpoint was removed from the webhook")
WEBHOOK_DELETED = Kept("webhook-deleted", "the webhook was deleted")
FAILING_TOO_LONG = Kept("failing-too-long", "nothing but failures for 5 days")
FAILING_LIMIT_US = 5 * DAY
# Failures that lie further apart say nothing about the time between them.
FAILING_SILENCE_US = 36 * 3600 * SECOND
# An endpoint that keeps failing and recovering is reported as failing at most once in this time.
TOLD_AGAIN_US = 600 * SECOND
ERASED = Kept("erased", "the event was erased")
# A live worker sends a heartbeat at least every 30 s.
SEEN_WITHIN_US = 60 * SECOND

SLOTS = 1024
# How long a due lane is left to the worker that it belongs to.
PATIENCE_US = SECOND // 2

_RANDOM_BITS = 31


def new_token(worker_id: str) -> int:
    """Return a token for one claim that also tells which worker holds it: 62 bits, half of them random."""
    return holder_of(worker_id) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def holder_of(worker_id: str) -> int:
    """Return the `holder` of this worker's tokens."""
    return crc32(worker_id.encode()) >> 1


def holder(token: int) -> int:
    """Return the part of a token that is the same in all tokens of one worker."""
    return token >> _RANDOM_BITS


@frozen(kw_only=True)
class Lease:
    """A worker's right to send what it claims: `token` (unique per claim) for `seconds`.

    Its last `deadline` seconds are left for the request. If a webhook has a longer deadline of its own, its deliveries
    are leased for that much longer.
    """

    token: int
    seconds: float
    deadline: float = 20.0

    def until(self, now: int, deadline: float | None = None) -> int:
        """Return when the lease of a delivery that is leased now ends, in microseconds."""
        longer = 0.0 if deadline is None else max(0.0, deadline - self.deadline)
        return now + round((self.seconds + longer) * SECOND)


@frozen
class Share:
    """A worker's part of the lanes: its rank among the workers that are alive, and their number.

    Each lane has a slot, and each worker an equal part of the slots. While much is due, it takes what is due in its own
    lanes first, and in those of others only after half a second. So workers hardly ever wait for each other.
    """

    rank: int = 0
    of: int = 1

    @property
    def first_slot(self) -> int:
        """The first of its slots."""
        return self.rank * SLOTS // self.of

    @property
    def end_slot(self) -> int:
        """The first slot after its last one."""
        return (self.rank + 1) * SLOTS // self.of

    def of_others(self, endpoint_ids: Iterable[str]) -> frozenset[str]:
        """Return the endpoints whose lanes belong to other workers."""
        first, end = self.first_slot, self.end_slot
        return frozenset(one for one in endpoint_ids if not first <= slot_of(one) < end)


ALONE = Share()


def slot_of(endpoint_id: str) -> int:
    """Return the slot of an endpoint's lane; consecutive ids get unrelated slots."""
    return int.from_bytes(blake2b(endpoint_id.encode(), digest_size=2).digest()) % SLOTS


@define
class Capacity:
    """The number of deliveries that a worker can still take, in total and per endpoint.

    The worker makes one for each call. The store leases as much as a copy of it allows, and leaves all other due
    deliveries alone.
    """

    total: int
    per_endpoint: int
    in_use: Mapping[str, int] = Factory(dict)
    _left: dict[str, int] = Factory(dict)

    def copy(self) -> Capacity:
        """Return an independent copy."""
        return Capacity(self.total, self.per_endpoint, self.in_use, dict(self._left))

    def left(self, endpoint_id: str) -> int:
        """Return how many more this endpoint can have."""
        return max(0, min(self._own(endpoint_id), self.total))

    def take(self, endpoint_id: str) -> bool:
        """Take one place for the endpoint if there is one."""
        left = self._left.get(endpoint_id)
        if left is None:
            left = self._own(endpoint_id)
        if left <= 0 or self.total <= 0:
            return False
        self._left[endpoint_id] = left - 1
        self.total -= 1
        return True

    def _own(self, endpoint_id: str) -> int:
        # A look-up in `in_use` may be slow, so each endpoint is looked up once.
        left = self._left.get(endpoint_id)
        if left is None:
            left = self._left[endpoint_id] = self.per_endpoint - self.in_use.get(endpoint_id, 0)
        return left


@frozen
class Terms:
    """The terms on which a delivery was leased from a lane that has limits, or whose breaker is not closed.

    Its lease covers a request of `deadline` seconds. `rate` and `in_flight` are the limits under which it was counted.
    The outcome of a probe decides whether others may follow.
    """

    deadline: float
    rate: float | None = None
    in_flight: int | None = None
    is_probe: bool = False

    @property
    def frees(self) -> bool:
        """Whether another delivery of the lane may go once this one has ended."""
        return self.is_probe or self.in_flight is not None


@define
class Claimed:
    """A delivery that a worker has leased, with everything needed to send it except the destination.

    `body` is the event's own. `rendering` is the id of the rendering that turns it into the body to send, None if the
    event's own is sent. `elapsed_us` is the time since the first attempt without the time held (0 before the first).
    `config_version` is the tenant's. `terms` is None if the lane has neither limits nor a pause. `sequence` is its
    place among the deliveries of its subject to its endpoint, None if they are not ordered.
    """

    tenant: str
    id: str
    event_id: str
    webhook_id: str
    endpoint_id: str
    product: str
    event_type: str
    body: bytes
    attempt_count: int
    elapsed_us: int
    token: int
    config_version: int
    rendering: str | None = None
    subject: str | None = None
    sequence: int | None = None
    terms: Terms | None = None


@frozen(kw_only=True)
class Planned:
    """The outcome of one call of `plan`.

    `events` is the number of events planned, `deliveries` that of the rows made; `claimed` has those of them that are
    leased to the caller. `more` says that there are events left to plan.
    """

    events: int = 0
    deliveries: int = 0
    claimed: Sequence[Claimed] = ()
    more: bool = False


@frozen(kw_only=True)
class Work:
    """The work that there is to do, as found by reading alone.

    `next_due` is the earliest time at which the caller may find a due delivery, never later than the true one; None if
    there is none. `first_due` is the same for all workers together. `is_late` says that the worker that is notified of
    new events has left them for too long, `has_jobs` that a job is unfinished.
    """

    new_events: bool
    next_due: int | None
    first_due: int | None = None
    is_late: bool = False
    has_jobs: bool = False


@define
class AttemptRow:
    """An attempt as it is stored; the headers are JSON arrays of pairs, without secrets."""

    number: int
    url: str
    started_at: int
    duration_us: int
    status_code: int | None
    error: str | None
    request_headers: str
    response_headers: str
    response_body: bytes
    warnings: tuple[str, ...] = ()


@define
class Result:
    """The outcome of one attempt of a claimed delivery.

    `state` is delivered, failed (with `reason`), or pending with `retry_in_us`. `disable` is a reason to disable the
    endpoint, provided that it still has the attempt's URL. `wait_us` is how long the receiver wants no request; no
    delivery of the endpoint is leased before. `attempt` is None if nothing was sent, because the rendering failed or
    the request could not leave this machine; the attempt count and the endpoint's health then stay as they are.
    """

    claimed: Claimed
    attempt: AttemptRow | None
    state: DeliveryState
    retry_in_us: int | None = None
    reason: str | None = None
    disable: str | None = None
    wait_us: int | None = None


class HealthChange(NamedTuple):
    """A change of an endpoint's health."""

    tenant: str
    webhook_id: str
    endpoint_id: str
    before: HealthState
    after: HealthState


@frozen(kw_only=True)
class Recorded:
    """The outcome of one call of `record`.

    `accepted` has the ids of the deliveries that the caller still held; `disabled` the (tenant, webhook id, endpoint
    id) of endpoints that were disabled; `paused` the endpoints whose breaker has begun a pause. `changed_health` has
    the changes of endpoints that became healthy, degraded or failing; these may have been disabled as well.
    `told_health` has those that are reported to customers and the host's hooks: that an endpoint is failing, and that
    it is healthy again. `freed` is the number of deliveries that are now due because the one before them in their order
    has ended.
    """

    accepted: Collection[str]
    disabled: Sequence[tuple[str, str, str]] = ()
    paused: Collection[str] = ()
    changed_health: Sequence[HealthChange] = ()
    told_health: Sequence[HealthChange] = ()
    freed: int = 0


@frozen(kw_only=True)
class WorkerSeen:
    """A worker with its last heartbeat, and how many deliveries it has leased."""

    id: str
    host: str
    pid: int
    seen_at: datetime
    leases: int = 0


@frozen
class DrainResult:
    """The outcome of a drain: events planned, requests made, and deliveries that succeeded or failed for good."""

    planned: int
    attempted: int
    delivered: int
    failed: int
