"""Lease due deliveries by lane, and give them back."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from unihooks._base.ids import first_id
from unihooks._base.round_robin import round_robin
from unihooks._base.times import SECOND
from unihooks._contract.leasing import PATIENCE_US
from unihooks.abc import ALONE, Capacity, Claimed, Lease, Share, Work
from unihooks.stores.sql.deliveries import all_bodies
from unihooks.stores.sql.transaction import Call, Database, Outcome, Row, Transaction

_TENANTS_PER_CLAIM = 100
_LANES_PER_TENANT = 4
_EVER = 2**62
# Places of new events are ids.
_ALL_PLACES = "~"

_Lane = tuple[str, str]


def work(tx: Transaction, share: Share = ALONE) -> Work:
    """Look whether there are new events, and when a lane is due."""
    return _to_work(tx.pipeline(_looking(share, _ALL_PLACES))[0])


def work_of_relieved(tx: Transaction, share: Share, until: int | None) -> tuple[Work, bool]:
    """Do what `work` does for events made before a time; say whether nobody is told of events any more."""
    before = _ALL_PLACES if until is None else first_id("evt_", until)
    found, vacant = tx.pipeline(_looking(share, before), Call("nobody_listens"))
    return _to_work(found), any(is_vacant for (is_vacant,) in vacant.rows)


class Claimer:
    """What claims from tenants in turn; it remembers which comes next when there are too many for one claim."""

    def __init__(self) -> None:
        self._after = ""

    def claim(self, database: Database, lease: Lease, capacity: Capacity, share: Share) -> list[Claimed]:
        """Lease due deliveries of open lanes that have capacity, which is left as it is."""
        return database.write(lambda tx: self._claim(tx, lease, capacity.copy(), share), synced=False)

    def _claim(self, tx: Transaction, lease: Lease, capacity: Capacity, share: Share) -> list[Claimed]:
        looked_at: set[_Lane] = set()
        while capacity.total:
            lanes, left_by_others, cut = self._due_lanes(tx, capacity, share)
            chosen = _Chosen()
            _choose(tx, chosen, lanes, capacity, lease)
            if left_by_others and capacity.total:
                lanes += left_by_others
                _choose(tx, chosen, left_by_others, capacity, lease)
            # A lane that is still due once it was settled has rows that another transaction holds, and that may be
            # waiting for this one.
            is_last = bool(chosen.rows) or not cut or looked_at.issuperset(lanes)
            claimed = _lease(tx, chosen, lanes, lease, commit=is_last)
            # What was looked at is settled, so that another round sees other lanes.
            if is_last:
                return claimed
            looked_at.update(lanes)
        return []

    def _due_lanes(self, tx: Transaction, capacity: Capacity, share: Share) -> tuple[list[_Lane], list[_Lane], bool]:
        """Return due lanes of the share, those that others have left for too long, and whether there may be more."""
        full = sum(capacity.left(endpoint_id) == 0 for endpoint_id in capacity.in_use)
        limit = capacity.total + full
        own = {"now": tx.now, "limit": limit, **_slots(share)}
        late = {"now": tx.now - PATIENCE_US, "limit": limit, **_slots(ALONE)}
        calls = [Call("due_lanes", values=values) for values in ([own, late] if share.of > 1 else [own])]
        found, *others = [[(endpoint_id, tenant) for endpoint_id, tenant in one.rows] for one in tx.pipeline(*calls)]
        cut = len(found) == limit
        if cut:
            found += self._due_lanes_by_tenant(tx, _LANES_PER_TENANT + full, share)
        known = set(found)
        left_by_others = [lane for rows in others for lane in rows if lane not in known]
        return _in_turn(found, capacity), _in_turn(left_by_others, capacity), cut

    def _due_lanes_by_tenant(self, tx: Transaction, each: int, share: Share) -> list[_Lane]:
        turn = {"tenants": _TENANTS_PER_CLAIM, "each": each, **_slots(share)}
        found = tx.pipeline(Call("due_lanes_by_tenant", values={"now": tx.now, "after": self._after, **turn}))[0].rows
        tenants = {tenant for tenant, _ in found}
        self._after = max(tenants) if len(tenants) == _TENANTS_PER_CLAIM else ""
        return [(endpoint_id, tenant) for tenant, endpoint_id in found if endpoint_id is not None]


def _in_turn(lanes: Iterable[_Lane], capacity: Capacity) -> list[_Lane]:
    """Return lanes that have capacity, each once, tenants in turn."""
    free = [lane for lane in dict.fromkeys(lanes) if capacity.left(lane[0])]
    return list(round_robin(free, lambda lane: lane[1]))


def release(tx: Transaction, claimed: Sequence[Claimed]) -> None:
    """Make leased deliveries due now where the token still holds them."""
    keys = sorted((item.tenant, item.id, item.token) for item in claimed)
    due = dict.fromkeys((item.endpoint_id for item in claimed), tx.now)
    tx.pipeline(Call("release", keys, {"now": tx.now}), *lowering(due))


def lower_next_due(tx: Transaction, due: Mapping[str, int]) -> None:
    """Let lanes be due by these times at the latest."""
    tx.pipeline(*lowering(due))


def lowering(due: Mapping[str, int]) -> list[Call]:
    """Return the calls that do what `lower_next_due` does, none if there is nothing to do."""
    if not due:
        return []
    return [Call("lock_lanes", values={"endpoints": list(due)}), Call("lower_lanes", list(due.items()))]


def _looking(share: Share, before: str) -> Call:
    return Call("work", values={"before": before, **_slots(share)})


def _to_work(found: Outcome) -> Work:
    [(new_events, first_due, own_due, has_jobs)] = found.rows
    next_due = first_due
    if own_due is None or own_due > first_due:
        # Others have it first.
        next_due = None if first_due is None else min(first_due + PATIENCE_US, own_due or _EVER)
    return Work(new_events=bool(new_events), next_due=next_due, first_due=first_due, has_jobs=bool(has_jobs))


def _slots(share: Share) -> dict[str, int]:
    return {"first": share.first_slot, "end": share.end_slot}


@define
class _Chosen:
    """Due deliveries that a claim takes, and those of them that are still to be leased."""

    rows: list[Row] = field(factory=list)
    unleased: list[Row] = field(factory=list)

    def leasing(self, tx: Transaction, lease: Lease) -> list[Call]:
        """Return the calls that lease what is not leased yet."""
        leased = {"until": tx.now + round(lease.seconds * SECOND), "token": lease.token}
        rows = [(row[0], row[3]) for row in self.unleased]
        self.unleased = []
        return [Call("lease", rows, leased)]


def _choose(tx: Transaction, chosen: _Chosen, lanes: Iterable[_Lane], capacity: Capacity, lease: Lease) -> None:
    """Choose due deliveries of the lanes, an equal share of each, as far as there is capacity."""
    waiting = deque(endpoint_id for endpoint_id, _ in lanes)
    while waiting and capacity.total:
        if chosen.unleased:
            # Or the next look would find them again.
            tx.pipeline(*chosen.leasing(tx, lease))
        asked = [waiting.popleft() for _ in range(min(len(waiting), capacity.total))]
        share = capacity.total // len(asked)
        shares = [(endpoint_id, min(share, capacity.left(endpoint_id)), turn) for turn, endpoint_id in enumerate(asked)]
        found = tx.pipeline(Call("due_deliveries", shares, {"now": tx.now, "share": share}))[0].rows
        chosen.unleased = [row for row in found if capacity.take(row[2])]
        chosen.rows += chosen.unleased
        counts = Counter([row[2] for row in chosen.unleased])
        waiting.extend(item for item in asked if counts[item] == share and capacity.left(item))


def _lease(tx: Transaction, chosen: _Chosen, lanes: list[_Lane], lease: Lease, *, commit: bool) -> list[Claimed]:
    """Lease what was chosen, and let each lane that was looked at be due when its first delivery is."""
    endpoints = {"endpoints": [endpoint_id for endpoint_id, _ in lanes]}
    settling = [Call("lock_lanes", values=endpoints), Call("settle_lanes", values=endpoints)] if lanes else []
    rows = chosen.rows
    keys = list(dict.fromkeys((row[0], row[4]) for row in rows))
    # The lanes come last: while bodies travel to a worker that is far away, nobody waits for it.
    _, found, versions, *_ = tx.pipeline(
        *chosen.leasing(tx, lease),
        Call("event_bodies", keys),
        Call("config_versions", values={"tenants": list({row[0] for row in rows})}),
        *settling,
        commit=commit,
    )
    return _claimed(rows, all_bodies(tx, keys, found.rows), dict(map(tuple, versions.rows)), lease.token)


def _claimed(
    rows: Iterable[Row], bodies: Mapping[tuple[str, str], bytes], config_versions: dict[str, int], token: int
) -> list[Claimed]:
    claimed = []
    for tenant, webhook_id, endpoint_id, id_, event_id, product, event_type, rendering, count, elapsed in rows:
        delivery = (tenant, id_, event_id, webhook_id, endpoint_id, product, event_type)
        body, version = bodies[tenant, event_id], config_versions.get(tenant, 0)
        claimed.append(Claimed(*delivery, body, count, elapsed, token, version, rendering))
    return claimed
