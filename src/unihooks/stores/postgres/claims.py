"""Lease due deliveries by lane, and give them back."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unihooks._base.round_robin import round_robin
from unihooks._base.times import SECOND
from unihooks.abc import Capacity, Claimed, Lease, Work
from unihooks.stores.postgres.bodies import event_bodies, mapped_bodies
from unihooks.stores.postgres.config import config_versions
from unihooks.stores.postgres.statements import BY_INDEX, Row, Statements, keyed, setting
from unihooks.stores.sql.rows import to_warnings

_Lane = tuple[str, str]

_TENANTS_PER_CLAIM = 100
_LANES_PER_TENANT = 4

_BY_INDEX = setting(BY_INDEX)
_WORK = """
SELECT EXISTS (SELECT 1 FROM unihooks.events WHERE planned_at IS NULL ORDER BY tenant, id LIMIT 1),
    (SELECT next_due_at FROM unihooks.lanes WHERE open AND next_due_at IS NOT NULL ORDER BY next_due_at LIMIT 1)
"""
_DUE_LANES = """
SELECT endpoint_id, tenant FROM unihooks.lanes
WHERE open AND next_due_at <= %(now)s ORDER BY next_due_at LIMIT %(limit)s
"""
_DUE_LANES_BY_TENANT = """
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.lanes
     WHERE open AND next_due_at IS NOT NULL AND tenant > %(after)s ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT l.tenant FROM unihooks.lanes AS l
            WHERE l.open AND l.next_due_at IS NOT NULL AND l.tenant > turns.tenant ORDER BY l.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
), served AS (SELECT tenant FROM turns WHERE tenant IS NOT NULL LIMIT %(tenants)s)
SELECT served.tenant, due.endpoint_id FROM served LEFT JOIN LATERAL (
    SELECT endpoint_id FROM unihooks.lanes AS l
    WHERE l.open AND l.tenant = served.tenant AND l.next_due_at <= %(now)s ORDER BY l.next_due_at LIMIT %(each)s
) AS due ON true ORDER BY served.tenant
"""
# A row that another worker holds is skipped; one that it has just leased is looked at again, and not due.
_LEASE = """
WITH due AS (
    SELECT k.turn, d.tenant, d.id, d.due_at,
        coalesce(%(now)s - d.first_attempt_at - (l.held_total_us - d.held_base), 0) AS elapsed
    FROM json_to_recordset(CAST(%(lanes)s AS json)) AS k (endpoint_id text, share integer, turn integer)
    JOIN unihooks.lanes AS l ON l.endpoint_id = k.endpoint_id AND l.open
    CROSS JOIN LATERAL (
        SELECT * FROM unihooks.deliveries
        WHERE endpoint_id = k.endpoint_id AND state = 'pending' AND due_at <= %(now)s
        ORDER BY due_at LIMIT k.share FOR NO KEY UPDATE SKIP LOCKED
    ) AS d
)
UPDATE unihooks.deliveries AS d SET due_at = %(until)s, token = %(token)s FROM due
WHERE d.tenant = due.tenant AND d.id = due.id
RETURNING d.tenant, d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.body_of,
    d.attempt_count, due.elapsed, due.turn, due.due_at
"""
_RELEASE = """
WITH held AS (
    SELECT d.tenant, d.id FROM json_to_recordset(CAST(%(keys)s AS json)) AS k (tenant text, id text, token bigint)
    CROSS JOIN LATERAL (
        SELECT tenant, id FROM unihooks.deliveries
        WHERE tenant = k.tenant AND id = k.id AND token = k.token AND state = 'pending' FOR NO KEY UPDATE
    ) AS d
)
UPDATE unihooks.deliveries AS d SET due_at = %(now)s, token = NULL FROM held
WHERE d.tenant = held.tenant AND d.id = held.id
"""
# EndpointQueues are locked before their rows are looked at: what another transaction has added to them is then seen.
# A lane is locked even where it stays: a claim that settles it meanwhile has to see the new rows.
LOCK_LANES = """
SELECT 1 FROM unihooks.lanes WHERE endpoint_id = ANY(CAST(%(endpoints)s AS text[]))
ORDER BY endpoint_id FOR NO KEY UPDATE
"""
_SETTLE = """
WITH settled AS (
UPDATE unihooks.lanes AS l SET next_due_at = found.due_at FROM (
    SELECT k.endpoint_id, (
        SELECT d.due_at FROM unihooks.deliveries AS d
        WHERE d.endpoint_id = k.endpoint_id AND d.state = 'pending' ORDER BY d.due_at LIMIT 1
    ) AS due_at FROM unnest(CAST(%(endpoints)s AS text[])) AS k (endpoint_id)
) AS found
WHERE l.endpoint_id = found.endpoint_id AND l.next_due_at IS DISTINCT FROM found.due_at
RETURNING 1) SELECT count(*) FROM settled
"""
LOWER = """
UPDATE unihooks.lanes AS l SET next_due_at = k.due_at
FROM json_to_recordset(CAST(%(due)s AS json)) AS k (endpoint_id text, due_at bigint)
WHERE l.endpoint_id = k.endpoint_id AND (l.next_due_at IS NULL OR l.next_due_at > k.due_at)
"""


def work(it: Statements) -> Work:
    """Look whether there are new events, and when a lane is due."""
    new_events, next_due = it.fetch_last(_BY_INDEX, _WORK)[0]
    return Work(new_events=new_events, next_due=next_due)


class Claims:
    """Claim in turn; remember which tenant comes next when there are too many for one claim."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._after = ""

    def claim(self, it: Statements, lease: Lease, capacity: Capacity) -> list[Claimed]:
        """Lease due deliveries of open lanes that have room; `room` is left as it is."""
        capacity = capacity.copy()
        rows: list[Row] = []
        cut = True
        while cut and not rows and capacity.total:
            lanes, cut = self._due_lanes(it, capacity)
            rows = _lease_due(it, lanes, lease, capacity)
            # What is looked at is settled, so another round sees other lanes.
            _settle(it, [endpoint_id for endpoint_id, _ in lanes])
            cut = cut and bool(lanes)
        return _claimed(it, rows, lease)

    def _due_lanes(self, it: Statements, capacity: Capacity) -> tuple[list[_Lane], bool]:
        full = sum(capacity.left(endpoint_id) == 0 for endpoint_id in capacity.in_use)
        limit = capacity.total + full
        lanes = [(row[0], row[1]) for row in it.fetch_last(_DUE_LANES, now=it.now, limit=limit)]
        cut = len(lanes) == limit
        if cut:
            lanes += self._due_lanes_by_tenant(it, _LANES_PER_TENANT + full)
        with_room = [lane for lane in dict.fromkeys(lanes) if capacity.left(lane[0])]
        return list(round_robin(with_room, lambda lane: lane[1])), cut

    def _due_lanes_by_tenant(self, it: Statements, each: int) -> list[_Lane]:
        with self._lock:
            after = self._after
        turns = it.fetch(_DUE_LANES_BY_TENANT, now=it.now, after=after, tenants=_TENANTS_PER_CLAIM, each=each)
        served = {tenant for tenant, _ in turns}
        with self._lock:
            self._after = max(served) if len(served) == _TENANTS_PER_CLAIM else ""
        return [(endpoint_id, tenant) for tenant, endpoint_id in turns if endpoint_id is not None]


def release(it: Statements, claimed: Sequence[Claimed]) -> None:
    """Make leased deliveries due now where the token still holds them."""
    if not claimed:
        return
    keys = keyed("tenant, id, token", sorted((item.tenant, item.id, item.token) for item in claimed))
    it.run(_RELEASE, keys=keys, now=it.now)
    lower_next_due(it, dict.fromkeys((item.endpoint_id for item in claimed), it.now))


def lower_next_due(it: Statements, due: Mapping[str, int]) -> None:
    """Let lanes be due by these times at the latest."""
    if due:
        it.fetch_last(LOCK_LANES, LOWER, "SELECT 1", **lowered(due))


def lowered(due: Mapping[str, int]) -> dict[str, Any]:
    """Return what LOCK_LANES and LOWER take."""
    return {"endpoints": list(due), "due": keyed("endpoint_id, due_at", due.items())}


def _settle(it: Statements, endpoint_ids: list[str]) -> None:
    if endpoint_ids:
        it.fetch_last(LOCK_LANES, _SETTLE, endpoints=endpoint_ids)


def _lease_due(it: Statements, lanes: Iterable[_Lane], lease: Lease, capacity: Capacity) -> list[Row]:
    leased: list[Row] = []
    until = it.now + round(lease.seconds * SECOND)
    waiting = deque(endpoint_id for endpoint_id, _ in lanes)
    while waiting and capacity.total:
        asked = [waiting.popleft() for _ in range(min(len(waiting), capacity.total))]
        each = capacity.total // len(asked)
        shares = {endpoint_id: min(each, capacity.left(endpoint_id)) for endpoint_id in asked}
        wanted = keyed("endpoint_id, share, turn", [(*item, turn) for turn, item in enumerate(shares.items())])
        rows = it.fetch_last(_LEASE, lanes=wanted, now=it.now, until=until, token=lease.token)
        # In the order of turns and due times; what was locked has capacity, since it was asked for by shares.
        leased += sorted((row for row in rows if capacity.take(row[4])), key=lambda row: (row[10], row[11]))
        counts = Counter(row[4] for row in rows)
        waiting.extend(item for item in asked if counts[item] == each and capacity.left(item))
    return leased


def _claimed(it: Statements, rows: list[Row], lease: Lease) -> list[Claimed]:
    own = event_bodies(it, ((row[0], row[2]) for row in rows if row[7] == "event"))
    mapped = mapped_bodies(it, ((row[2], row[3]) for row in rows if row[7] == "webhook"))
    current = config_versions(it, {row[0] for row in rows}) if rows else {}
    claimed = []
    for tenant, id_, event_id, webhook_id, endpoint_id, product, event_type, body_of, count, elapsed, *_ in rows:
        body, warnings = mapped[event_id, webhook_id] if body_of == "webhook" else (own[tenant, event_id], "[]")
        claimed.append(
            Claimed(
                tenant,
                id_,
                event_id,
                webhook_id,
                endpoint_id,
                product,
                event_type,
                body,
                to_warnings(warnings),
                count,
                elapsed,
                lease.token,
                current[tenant],
            )
        )
    return claimed
