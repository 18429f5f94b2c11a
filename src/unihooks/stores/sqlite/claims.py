"""Lease due deliveries by lane, and give them back."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unihooks._base.round_robin import round_robin
from unihooks._base.times import SECOND
from unihooks.abc import Capacity, Claimed, Lease, Work
from unihooks.stores.sqlite.bodies import event_bodies, mapped_bodies
from unihooks.stores.sqlite.config import config_versions
from unihooks.stores.sqlite.statements import as_json, fetch_json

_Lane = tuple[str, str]
# Tenant, webhook id, endpoint id, and rows of id, event id, product, event type, whose body, attempts and time elapsed.
_Due = tuple[str, str, str, list[list[Any]]]

_TENANTS_PER_CLAIM = 100
_LANES_PER_TENANT = 4

_WORK = """
SELECT EXISTS (SELECT 1 FROM main.unihooks_events WHERE planned_at IS NULL),
    (SELECT min(next_due_at) FROM main.unihooks_lanes WHERE open = 1 AND next_due_at IS NOT NULL)
"""
_DUE_LANES = """
SELECT json_group_array(json_array(endpoint_id, tenant)) FROM (
    SELECT endpoint_id, tenant FROM main.unihooks_lanes
    WHERE open = 1 AND next_due_at <= :now ORDER BY next_due_at LIMIT :limit
)
"""
_DUE_LANES_BY_TENANT = """
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_lanes WHERE open = 1 AND next_due_at IS NOT NULL AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_lanes
            WHERE open = 1 AND next_due_at IS NOT NULL AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT json_group_array(json_array(turns.tenant, (
    SELECT json_group_array(endpoint_id) FROM (
        SELECT endpoint_id FROM main.unihooks_lanes
        WHERE open = 1 AND tenant = turns.tenant AND next_due_at <= :now ORDER BY next_due_at LIMIT :each
    )
))) FROM turns WHERE tenant IS NOT NULL
"""
_DUE_DELIVERIES = """
SELECT json_group_array(json_array(l.tenant, l.webhook_id, l.endpoint_id, (
    SELECT json_group_array(json_array(
        id, event_id, product, event_type, body_of, attempt_count,
        coalesce(:now - first_attempt_at - (l.held_total_us - held_base), 0)))
    FROM (
        SELECT * FROM main.unihooks_deliveries
        WHERE endpoint_id = l.endpoint_id AND state = 'pending' AND due_at <= :now ORDER BY due_at LIMIT :share
    )
)))
FROM json_each(:lanes) AS k CROSS JOIN main.unihooks_lanes AS l ON l.endpoint_id = k.value
"""
_LEASE = """
UPDATE main.unihooks_deliveries AS d SET due_at = :until, token = :token FROM json_each(:keys) AS k
WHERE d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
"""
# Where many are one tenant's, this takes two thirds of the time.
_LEASE_OF_TENANT = """
UPDATE main.unihooks_deliveries SET due_at = :until, token = :token
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:ids))
"""
_MANY = 4
_SETTLE = """
UPDATE main.unihooks_lanes SET next_due_at = (
    SELECT min(due_at) FROM main.unihooks_deliveries
    WHERE endpoint_id = main.unihooks_lanes.endpoint_id AND state = 'pending'
) WHERE endpoint_id IN (SELECT value FROM json_each(?))
"""
_LOWER = """
UPDATE main.unihooks_lanes SET next_due_at = min(coalesce(next_due_at, k.value), k.value)
FROM json_each(?) AS k WHERE endpoint_id = k.key
"""
_RELEASE = """
UPDATE main.unihooks_deliveries AS d SET due_at = :now, token = NULL FROM json_each(:keys) AS k
WHERE d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
  AND d.token = json_extract(k.value, '$[2]') AND d.state = 'pending'
"""


def work(connection: sqlite3.Connection) -> Work:
    """Look whether there are new events, and when a lane is due."""
    new_events, next_due = connection.execute(_WORK).fetchone()
    return Work(new_events=bool(new_events), next_due=next_due)


class Claims:
    """Claim in turn; remember which tenant comes next when there are too many for one claim."""

    def __init__(self) -> None:
        self._after = ""

    def claim(self, connection: sqlite3.Connection, lease: Lease, capacity: Capacity, now: int) -> list[Claimed]:
        """Lease due deliveries of open lanes that have capacity."""
        leased: list[_Due] = []
        cut = True
        while cut and not leased and capacity.total:
            lanes, cut = self._due_lanes(connection, capacity, now)
            leased = _lease_due(connection, lanes, lease, capacity, now)
            # What is looked at is settled, so another round sees other lanes.
            connection.execute(_SETTLE, (as_json([endpoint_id for endpoint_id, _ in lanes]),))
            cut = cut and bool(lanes)
        return _claimed(connection, leased, lease)

    def _due_lanes(self, connection: sqlite3.Connection, capacity: Capacity, now: int) -> tuple[list[_Lane], bool]:
        full = sum(capacity.left(endpoint_id) == 0 for endpoint_id in capacity.in_use)
        limit = capacity.total + full
        lanes = [(row[0], row[1]) for row in fetch_json(connection, _DUE_LANES, {"now": now, "limit": limit})]
        cut = len(lanes) == limit
        if cut:
            lanes += self._due_lanes_by_tenant(connection, now, _LANES_PER_TENANT + full)
        with_room = [lane for lane in dict.fromkeys(lanes) if capacity.left(lane[0])]
        return list(round_robin(with_room, lambda lane: lane[1])), cut

    def _due_lanes_by_tenant(self, connection: sqlite3.Connection, now: int, each: int) -> list[_Lane]:
        parameters = {"now": now, "after": self._after, "tenants": _TENANTS_PER_CLAIM, "each": each}
        turns = fetch_json(connection, _DUE_LANES_BY_TENANT, parameters)
        self._after = turns[-1][0] if len(turns) == _TENANTS_PER_CLAIM else ""
        return [(endpoint_id, tenant) for tenant, endpoint_ids in turns for endpoint_id in endpoint_ids]


def release(connection: sqlite3.Connection, claimed: Sequence[Claimed], now: int) -> None:
    """Make leased deliveries due now where the token still holds them."""
    keys = as_json([(item.tenant, item.id, item.token) for item in claimed])
    connection.execute(_RELEASE, {"now": now, "keys": keys})
    lower_next_due(connection, dict.fromkeys((item.endpoint_id for item in claimed), now))


def lower_next_due(connection: sqlite3.Connection, due: Mapping[str, int]) -> None:
    """Let lanes be due by these times at the latest."""
    if due:
        connection.execute(_LOWER, (as_json(due),))


def _lease_due(
    connection: sqlite3.Connection, lanes: Iterable[_Lane], lease: Lease, capacity: Capacity, now: int
) -> list[_Due]:
    leased: list[_Due] = []
    waiting = deque(endpoint_id for endpoint_id, _ in lanes)
    while waiting and capacity.total:
        asked = [waiting.popleft() for _ in range(min(len(waiting), capacity.total))]
        share = capacity.total // len(asked)
        parameters = {"now": now, "share": share, "lanes": as_json(asked)}
        taken: list[_Due] = []
        for tenant, webhook_id, endpoint_id, rows in fetch_json(connection, _DUE_DELIVERIES, parameters):
            count = capacity.take_several(endpoint_id, len(rows))
            if count:
                taken.append((tenant, webhook_id, endpoint_id, rows[:count]))
            if count == share and capacity.left(endpoint_id):
                waiting.append(endpoint_id)
        _lease_rows(connection, taken, lease, now)
        leased += taken
    return leased


def _lease_rows(connection: sqlite3.Connection, taken: list[_Due], lease: Lease, now: int) -> None:
    lease_of = {"until": now + round(lease.seconds * SECOND), "token": lease.token}
    ids: dict[str, list[str]] = {}
    for tenant, _, _, rows in taken:
        ids.setdefault(tenant, []).extend([row[0] for row in rows])
    few = [(tenant, one) for tenant, these in ids.items() if len(these) < _MANY for one in these]
    if few:
        connection.execute(_LEASE, {**lease_of, "keys": as_json(few)})
    for tenant, these in ids.items():
        if len(these) >= _MANY:
            connection.execute(_LEASE_OF_TENANT, {**lease_of, "tenant": tenant, "ids": as_json(these)})


def _claimed(connection: sqlite3.Connection, leased: list[_Due], lease: Lease) -> list[Claimed]:
    own = event_bodies(connection, [(due[0], row[1]) for due in leased for row in due[3] if row[4] == "event"])
    mapped = mapped_bodies(connection, [(row[1], due[1]) for due in leased for row in due[3] if row[4] == "webhook"])
    current = config_versions(connection, {due[0] for due in leased}) if leased else {}
    claimed = []
    for tenant, webhook_id, endpoint_id, rows in leased:
        config_version = current[tenant]
        for id_, event_id, product, event_type, body_of, count, elapsed in rows:
            body, warnings = mapped[event_id, webhook_id] if body_of == "webhook" else (own[tenant, event_id], ())
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
                    warnings,
                    count,
                    elapsed,
                    lease.token,
                    config_version,
                )
            )
    return claimed
