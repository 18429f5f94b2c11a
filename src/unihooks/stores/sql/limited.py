"""Lease from lanes with limits: a rate, a number in flight, or a breaker that allows one delivery as a probe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf

from attrs import define, field

from unihooks._base.times import SECOND
from unihooks.abc import Capacity, Claimed, Lease, Terms
from unihooks.stores.sql.transaction import Call, Row, Transaction

# A claim that is up to this late loses no tokens, so a lane may hold a little more than its burst.
_LATE_SECONDS = 0.25
_MOST_LATE = 0.9
# If tokens come fast, claims take them at most this many times a second.
_CLAIMS_PER_SECOND = 20
# The longest time that a delivery leased before a change of the limits is under way.
LONGEST_LEASE_US = 600 * SECOND
# A delivery that was leased before a limit does not free its lane when it ends, so the lane is looked at again: soon
# after the change, and then less and less often.
_LOOK_AGAIN_US = SECOND // 4
_LOOKS_PER_AGE = 32
# A sum of fractions may be slightly less than the whole.
_NEARLY = 1e-6


@define
class LimitedLane:
    """A locked lane, and what a claim may take from it."""

    endpoint_id: str
    rate: float | None
    burst: float | None
    in_flight_limit: int | None
    deadline_us: int | None
    tokens: float | None
    refilled_at: int | None
    ready_at: int | None
    leased_until: int | None
    is_paused: bool
    leases: int = 0
    first_end: int | None = None
    taken: list[Row] = field(factory=list)

    def refill(self, now: int) -> None:
        """Add the tokens that have come since the last time."""
        if self.rate is None or self.burst is None:
            return
        most = self.burst + min(_MOST_LATE, self.rate * _LATE_SECONDS)
        if self.tokens is None or self.refilled_at is None:
            self.tokens = self.burst
        else:
            self.tokens = min(most, self.tokens + max(0, now - self.refilled_at) / SECOND * self.rate)
        self.refilled_at = now

    def allowed(self, now: int) -> int:
        """Return how many deliveries may be sent now."""
        if self.is_paused and (self.ready_at or 0) > now:
            return 0
        most = 1 if self.is_paused else inf
        if self.in_flight_limit is not None:
            most = min(most, self.in_flight_limit - self.leases)
        if self.tokens is not None and self.burst is not None and self.rate is not None:
            most = min(most, int(self.burst), int(self.tokens + _NEARLY))
        return int(max(0, min(most, 2**31)))

    def until(self, lease: Lease, now: int) -> int:
        """Return when leases that begin now will end."""
        return lease.until(now, None if self.deadline_us is None else self.deadline_us / SECOND)

    def terms(self, lease: Lease) -> Terms:
        """Return the terms of its deliveries."""
        deadline = lease.deadline if self.deadline_us is None else self.deadline_us / SECOND
        return Terms(deadline, self.rate, self.in_flight_limit, is_probe=self.is_paused)

    def settled(self, until: int, now: int) -> Row:
        """Return the parameters of `settle_limited` once `taken` is leased `until` then."""
        count = len(self.taken)
        if count:
            self.leases += count
            self.first_end = min(self.first_end or until, until)
            self.leased_until = max(self.leased_until or 0, until)
        if self.tokens is not None:
            self.tokens = max(0.0, self.tokens - count)
        ready_at = self._ready_at(until, now)
        return self.endpoint_id, self.tokens, self.refilled_at, ready_at, self.leased_until

    def _ready_at(self, until: int, now: int) -> int | None:
        if self.is_paused:
            # While a probe is under way, all others wait for its outcome.
            return until if self.taken else (self.ready_at if (self.ready_at or 0) > now else None)
        waits = []
        if self.in_flight_limit is not None and self.leases >= self.in_flight_limit:
            waits.append(self._place_free_at(until, now))
        if self.rate is not None and self.burst is not None and self.tokens is not None and self.tokens < 1 - _NEARLY:
            wanted = max(1.0, min(self.burst, self.rate / _CLAIMS_PER_SECOND))
            waits.append(now + ceil((wanted - self.tokens) / self.rate * SECOND))
        return max((at for at in waits if at is not None), default=None)

    def _place_free_at(self, until: int, now: int) -> int | None:
        """Return when to look at the lane again if no delivery in flight frees it before."""
        if self.first_end is None or self.leased_until is None or self.leased_until <= until:
            return self.first_end
        # The lease ends later than any under these limits, so it is from before their change.
        age = now - (self.leased_until - LONGEST_LEASE_US)
        return min(self.first_end, now + max(_LOOK_AGAIN_US, age // _LOOKS_PER_AGE))


def lock_limited(tx: Transaction, endpoint_ids: Sequence[str]) -> list[LimitedLane]:
    """Lock the lanes that are due and free, and read how much each allows."""
    values = {"endpoints": list(endpoint_ids), "now": tx.now}
    lanes = [LimitedLane(*row) for row in tx.pipeline(Call("limited_lanes", values=values))[0].rows]
    bounded = [(lane.endpoint_id, lane.leased_until or 0) for lane in lanes if lane.in_flight_limit is not None]
    counts = {row[0]: row[1:] for row in tx.pipeline(Call("count_leases", bounded, {"now": tx.now}))[0].rows}
    for lane in lanes:
        lane.leases, lane.first_end = counts.get(lane.endpoint_id, (0, None))
        lane.refill(tx.now)
    return lanes


def take_due(tx: Transaction, lanes: Sequence[LimitedLane], capacity: Capacity) -> None:
    """Take the first due deliveries of each lane, as far as its limits and the capacity allow."""
    if not lanes:
        return
    share = ceil(capacity.total / len(lanes))
    asked = [
        (lane.endpoint_id, count, turn)
        for turn, lane in enumerate(lanes)
        if (count := min(share, lane.allowed(tx.now), capacity.left(lane.endpoint_id)))
    ]
    most = {endpoint_id: count for endpoint_id, count, _ in asked}
    by_id = {lane.endpoint_id: lane for lane in lanes}
    values = {"now": tx.now, "share": max(most.values(), default=0), "is_limited": True}
    for row in tx.pipeline(Call("due_deliveries", asked, values))[0].rows:
        lane = by_id[row[2]]
        if len(lane.taken) < most[lane.endpoint_id] and capacity.take(lane.endpoint_id):
            lane.taken.append(row)


def leasing(lanes: Iterable[LimitedLane], lease: Lease, now: int) -> list[Call]:
    """Return the calls that lease what was taken."""
    by_end: dict[int, list[Row]] = {}
    for lane in lanes:
        by_end.setdefault(lane.until(lease, now), []).extend((row[0], row[3], row[1]) for row in lane.taken)
    return [Call("lease", rows, {"until": until, "token": lease.token}) for until, rows in by_end.items()]


def freeing(claimed: Iterable[Claimed], now: int, *, unsent: bool = False) -> list[Call]:
    """Return the calls that resume lanes whose deliveries have ended or are given back `unsent`; usually none.

    The lanes are locked.
    """
    unused: dict[str, int] = {}
    for one in claimed:
        if one.terms is not None and (unsent or one.terms.frees):
            unused[one.endpoint_id] = unused.get(one.endpoint_id, 0) + unsent
    if not unused:
        return []
    return [Call("free_lanes", list(unused.items())), Call("lower_lanes", [(id_, now) for id_ in unused])]
