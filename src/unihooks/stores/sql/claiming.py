"""Lease due deliveries by lane, and give them back."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import ceil

from attrs import define, field

from unihooks._base.ids import first_id
from unihooks._base.round_robin import round_robin
from unihooks._contract.leasing import PATIENCE_US
from unihooks.abc import ALONE, Capacity, Claimed, Lease, Share, Work
from unihooks.exceptions import StoreError
from unihooks.stores.sql.deliveries import all_bodies
from unihooks.stores.sql.limited import freeing, leasing, lock_limited, take_due
from unihooks.stores.sql.transaction import Call, Database, Outcome, Row, Transaction

_TENANTS_PER_CLAIM = 100
_LANES_PER_TENANT = 4
_EVER = 2**62
# Places of new events are ids.
_ALL_PLACES = "~"

# Its endpoint and tenant, and whether it has limits or a pause.
_Lane = tuple[str, str, bool]


def work(tx: Transaction, share: Share = ALONE) -> Work:
    """Look whether there are new events, and when a lane is due."""
    return _to_work(tx.pipeline(_looking(share, _ALL_PLACES))[0])


def work_of_relieved(tx: Transaction, share: Share, until: int | None) -> tuple[Work, bool]:
    """Return what `work` does for events made before a time, and whether no process is notified of events any more."""
    before = _ALL_PLACES if until is None else first_id("evt_", until)
    found, vacant = tx.pipeline(_looking(share, before), Call("nobody_listens"))
    return _to_work(found), any(is_vacant for (is_vacant,) in vacant.rows)


class Claimer:
    """A claimer that takes tenants in turn; it remembers which is next when there are too many for one claim."""

    def __init__(self) -> None:
        self._after = ""

    def claim(self, database: Database, lease: Lease, capacity: Capacity, share: Share) -> list[Claimed]:
        """Lease due deliveries of open lanes with capacity; `capacity` itself is not changed."""
        claim = partial(self._claim, lease=lease, share=share)
        claimed, limited, rest = database.write(lambda tx: claim(tx, capacity=capacity.copy()), synced=False)
        if limited:
            # Their lanes are locked before deliveries, so they get a transaction of their own, in which nobody waits.
            try:
                claimed += _claim_limited(database, limited, lease, rest)
            except StoreError:
                # What has been leased must be sent; the next claim will meet the error again.
                if not claimed:
                    raise
        return claimed

    def _claim(
        self, tx: Transaction, lease: Lease, capacity: Capacity, share: Share
    ) -> tuple[list[Claimed], list[str], Capacity]:
        """Lease from lanes without limits; also return the endpoints of limited ones, and the capacity for them."""
        looked_at: set[_Lane] = set()
        while capacity.total:
            lanes, left_by_others, cut = self._due_lanes(tx, capacity, share)
            limited, kept = _take_limited(lanes, left_by_others, capacity)
            chosen = _Chosen()
            _choose(tx, chosen, lanes, capacity, lease)
            if left_by_others and capacity.total:
                lanes += left_by_others
                _choose(tx, chosen, left_by_others, capacity, lease)
            # A lane that is still due after it was settled has rows that another transaction holds, which may be
            # waiting for this one.
            is_last = bool(chosen.rows or limited) or not cut or looked_at.issuperset(lanes)
            claimed = _lease(tx, chosen, lanes, lease, commit=is_last)
            # Settle the lanes that were looked at, so that another round sees others.
            if is_last:
                capacity.total += kept
                return claimed, limited, capacity
            looked_at.update(lanes)
        return [], [], capacity

    def _due_lanes(self, tx: Transaction, capacity: Capacity, share: Share) -> tuple[list[_Lane], list[_Lane], bool]:
        """Return the due lanes of the share, those that others left for too long, and whether there may be more."""
        full = sum(capacity.left(endpoint_id) == 0 for endpoint_id in capacity.in_use)
        limit = capacity.total + full
        own = {"now": tx.now, "limit": limit, **_slots(share)}
        late = {"now": tx.now - PATIENCE_US, "limit": limit, **_slots(ALONE)}
        calls = [Call("due_lanes", values=values) for values in ([own, late] if share.of > 1 else [own])]
        found, *others = [list(map(tuple, one.rows)) for one in tx.pipeline(*calls)]
        cut = len(found) == limit
        if cut:
            found += self._due_lanes_by_tenant(tx, _LANES_PER_TENANT + full, share)
        known = set(found)
        left_by_others = [lane for rows in others for lane in rows if lane not in known]
        return _in_turn(found, capacity), _in_turn(left_by_others, capacity), cut

    def _due_lanes_by_tenant(self, tx: Transaction, each: int, share: Share) -> list[_Lane]:
        turn = {"tenants": _TENANTS_PER_CLAIM, "each": each, **_slots(share)}
        found = tx.pipeline(Call("due_lanes_by_tenant", values={"now": tx.now, "after": self._after, **turn}))[0].rows
        tenants = {tenant for tenant, *_ in found}
        self._after = max(tenants) if len(tenants) == _TENANTS_PER_CLAIM else ""
        return [(id_, tenant, is_limited) for tenant, id_, is_limited in found if id_ is not None]


def _in_turn(lanes: Iterable[_Lane], capacity: Capacity) -> list[_Lane]:
    """Return lanes that have capacity, each once, tenants in turn."""
    free = [lane for lane in dict.fromkeys(lanes) if capacity.left(lane[0])]
    return list(round_robin(free, lambda lane: lane[1]))


def _take_limited(lanes: list[_Lane], left_by_others: list[_Lane], capacity: Capacity) -> tuple[list[str], int]:
    """Take lanes with limits out, and an equal share of the capacity for them; return their endpoints and the share."""
    all_lanes = lanes + left_by_others
    limited = [endpoint_id for endpoint_id, _, is_limited in all_lanes if is_limited]
    if not limited:
        return [], 0
    for one in (lanes, left_by_others):
        one[:] = [lane for lane in one if not lane[2]]
    kept = ceil(capacity.total * len(limited) / len(all_lanes))
    capacity.total -= kept
    return limited, kept


def _claim_limited(database: Database, endpoint_ids: list[str], lease: Lease, capacity: Capacity) -> list[Claimed]:
    """Lease what lanes with limits allow; each delivery carries its terms."""

    def work(tx: Transaction) -> list[Claimed]:
        lanes = lock_limited(tx, endpoint_ids)
        take_due(tx, lanes, capacity.copy())
        rows = [row for lane in lanes for row in lane.taken]
        # Each lane is due when its next delivery is due and allowed.
        settled = Call("settle_limited", [lane.settled(lane.until(lease, tx.now), tx.now) for lane in lanes])
        claimed = _leased(tx, rows, leasing(lanes, lease, tx.now), [settled], lease, commit=True)
        terms = {lane.endpoint_id: lane.terms(lease) for lane in lanes}
        for one in claimed:
            one.terms = terms[one.endpoint_id]
        return claimed

    return database.write(work, synced=False)


def release(tx: Transaction, claimed: Sequence[Claimed]) -> None:
    """Make leased deliveries due now if the token still holds them."""
    keys = sorted((item.tenant, item.id, item.token, item.webhook_id) for item in claimed)
    due = dict.fromkeys((item.endpoint_id for item in claimed), tx.now)
    freed = freeing(claimed, tx.now, unsent=True)
    locked = [Call("lock_lanes", values={"endpoints": list(due)})] if freed else []
    tx.pipeline(Call("release", keys, {"now": tx.now}), *locked, *freed, *lowering(due))


def lower_next_due(tx: Transaction, due: Mapping[str, int]) -> None:
    """Make lanes due at these times at the latest."""
    tx.pipeline(*lowering(due))


def lowering(due: Mapping[str, int]) -> list[Call]:
    """Return the calls of `lower_next_due`, none if there is nothing to do."""
    if not due:
        return []
    return [Call("lock_lanes", values={"endpoints": list(due)}), Call("lower_lanes", list(due.items()))]


def _looking(share: Share, before: str) -> Call:
    return Call("work", values={"before": before, **_slots(share)})


def _to_work(found: Outcome) -> Work:
    [(new_events, first_due, own_due, has_jobs)] = found.rows
    next_due = first_due
    if own_due is None or own_due > first_due:
        # Another worker has it first.
        next_due = None if first_due is None else min(first_due + PATIENCE_US, own_due or _EVER)
    return Work(new_events=bool(new_events), next_due=next_due, first_due=first_due, has_jobs=bool(has_jobs))


def _slots(share: Share) -> dict[str, int]:
    return {"first": share.first_slot, "end": share.end_slot}


@define
class _Chosen:
    """The due deliveries that a claim takes, and those of them that still have to be leased."""

    rows: list[Row] = field(factory=list)
    unleased: list[Row] = field(factory=list)

    def leasing(self, tx: Transaction, lease: Lease) -> list[Call]:
        """Return the calls that lease the remaining ones."""
        leased = {"until": lease.until(tx.now), "token": lease.token}
        rows = [(row[0], row[3], row[1]) for row in self.unleased]
        self.unleased = []
        return [Call("lease", rows, leased)]


def _choose(tx: Transaction, chosen: _Chosen, lanes: Iterable[_Lane], capacity: Capacity, lease: Lease) -> None:
    """Choose due deliveries of the lanes, an equal share from each, up to the capacity."""
    waiting = deque(endpoint_id for endpoint_id, *_ in lanes)
    while waiting and capacity.total:
        if chosen.unleased:
            # Otherwise the next look would find them again.
            tx.pipeline(*chosen.leasing(tx, lease))
        asked = [waiting.popleft() for _ in range(min(len(waiting), capacity.total))]
        share = capacity.total // len(asked)
        shares = [(endpoint_id, min(share, capacity.left(endpoint_id)), turn) for turn, endpoint_id in enumerate(asked)]
        values = {"now": tx.now, "share": share, "is_limited": False}
        found = tx.pipeline(Call("due_deliveries", shares, values))[0].rows
        chosen.unleased = [row for row in found if capacity.take(row[2])]
        chosen.rows += chosen.unleased
        counts = Counter([row[2] for row in chosen.unleased])
        waiting.extend(item for item in asked if counts[item] == share and capacity.left(item))


def _lease(tx: Transaction, chosen: _Chosen, lanes: list[_Lane], lease: Lease, *, commit: bool) -> list[Claimed]:
    """Lease what was chosen, and make each lane that was looked at due when its first delivery is."""
    endpoints = {"endpoints": [endpoint_id for endpoint_id, *_ in lanes]}
    settled = [Call("lock_lanes", values=endpoints), Call("settle_lanes", values=endpoints)] if lanes else []
    # The lanes come last: nobody waits while bodies travel to a distant worker.
    return _leased(tx, chosen.rows, chosen.leasing(tx, lease), settled, lease, commit=commit)


def _leased(
    tx: Transaction,
    rows: Sequence[Row],
    leases: Sequence[Call],
    settled: Sequence[Call],
    lease: Lease,
    *,
    commit: bool,
) -> list[Claimed]:
    """Lease deliveries, read what belongs to them, and settle their lanes, in one round trip."""
    keys = list(dict.fromkeys((row[0], row[4]) for row in rows))
    versions = Call("config_versions", values={"tenants": list({row[0] for row in rows})})
    outcomes = tx.pipeline(*leases, Call("event_bodies", keys), versions, *settled, commit=commit)
    found, versions_found = outcomes[len(leases) : len(leases) + 2]
    return _claimed(rows, all_bodies(tx, keys, found.rows), dict(map(tuple, versions_found.rows)), lease.token)


def _claimed(
    rows: Iterable[Row], bodies: Mapping[tuple[str, str], bytes], config_versions: dict[str, int], token: int
) -> list[Claimed]:
    claimed = []
    for (
        tenant, webhook_id, endpoint_id, id_, event_id, product, event_type, subject, place, rendering, count, elapsed,
    ) in rows:  # fmt: skip
        delivery = (tenant, id_, event_id, webhook_id, endpoint_id, product, event_type)
        body, version = bodies[tenant, event_id], config_versions.get(tenant, 0)
        claimed.append(Claimed(*delivery, body, count, elapsed, token, version, rendering, subject, place))
    return claimed
