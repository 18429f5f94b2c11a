"""Turn new events into deliveries, tenants in turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import chain
from typing import Any

from attrs import define, evolve

from unihooks._base.round_robin import round_robin
from unihooks._contract.planning import NewEvent, Subscriber, plan_event
from unihooks.abc import Capacity, Lease, Planned
from unihooks.stores.sql.recent_events import RecentEvents
from unihooks.stores.sqlite.bodies import event_bodies, keep_bodies
from unihooks.stores.sqlite.claims import lower_next_due
from unihooks.stores.sqlite.config import config_versions
from unihooks.stores.sqlite.deliveries import Made
from unihooks.stores.sqlite.statements import as_json, fetch_json
from unihooks.stores.sqlite.subscribers import Subscribers

_TENANTS_PER_PLAN = 100
_DELIVERIES_PER_PLAN = 1_000
_BYTES_PER_PLAN = 8 * 1024 * 1024

_TENANTS = """
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE planned_at IS NULL AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE planned_at IS NULL AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT json_group_array(tenant) FROM turns WHERE tenant IS NOT NULL
"""
# The index of new events holds all of this.
_EVENTS = """
SELECT json_group_array((
    SELECT json_group_array(json_array(rowid, tenant, id, plan_cursor)) FROM (
        SELECT rowid, tenant, id, plan_cursor FROM main.unihooks_events
        WHERE tenant = k.value AND planned_at IS NULL ORDER BY id LIMIT :each
    )
)) FROM json_each(:tenants) AS k
"""
_CONTENTS = """
SELECT json_group_array(json_array(e.rowid, e.product, e.event_type, e.created_at, length(e.body)))
FROM json_each(:rows) AS k CROSS JOIN main.unihooks_events AS e ON e.rowid = k.value
"""
_EXISTING = """
SELECT json_group_array(json_array(d.event_id, d.endpoint_id))
FROM json_each(:events) AS k CROSS JOIN main.unihooks_deliveries AS d ON d.event_id = k.value
"""
_EXISTING_OF_THESE = """
SELECT json_group_array(json_array(d.event_id, d.endpoint_id))
FROM json_each(:pairs) AS k CROSS JOIN main.unihooks_deliveries AS d
    ON d.event_id = json_extract(k.value, '$[0]') AND d.endpoint_id = json_extract(k.value, '$[1]')
"""
_PLANNED = "UPDATE main.unihooks_events SET planned_at = 1 WHERE rowid IN (SELECT value FROM json_each(?))"
_PARTLY = "UPDATE main.unihooks_events SET plan_cursor = ? WHERE rowid = ?"


@define
class Chosen:
    """Be a new event with the subscribers that it is planned for now; `cursor` is where the next call goes on.

    The event's body is empty as long as it has not been read.
    """

    row: int
    event: NewEvent
    size: int
    after: str
    subscribers: list[Subscriber]
    cursor: str | None = None


@define
class _Wanted:
    """Be all subscribers of a kind of event, with how many endpoints and mappings they have."""

    subscribers: list[Subscriber]
    endpoints: int
    mappings: int


@define
class _Quota:
    """Say how much more one call plans: how many deliveries, and how many bytes to map."""

    deliveries: int = _DELIVERIES_PER_PLAN
    size: int = _BYTES_PER_PLAN

    @property
    def is_used_up(self) -> bool:
        """Say whether no more can be planned."""
        return self.deliveries <= 0 or self.size < 0

    def take(self, endpoints: int, size: int) -> None:
        """Plan so many deliveries of so many mapped bytes; the last may go beyond the quota."""
        self.deliveries -= endpoints
        self.size -= size


class Plans:
    """Plan in turn; remember which tenant comes next, and the subscribers and events of late."""

    def __init__(self) -> None:
        self._after = ""
        self._subscribers = Subscribers()
        self._recent_events = RecentEvents()

    def keep(self, events: Iterable[NewEvent]) -> None:
        """Take events that this process has inserted."""
        self._recent_events.keep(events)

    def forget(self) -> None:
        """Forget what was read or inserted in a transaction that did not last."""
        self._subscribers = Subscribers()
        self._recent_events.forget()

    def plan(
        self, connection: sqlite3.Connection, lease: Lease, capacity: Capacity, limit: int, *, now: int
    ) -> Planned:
        """Plan up to `limit` new events."""
        self._recent_events.is_wanted = True
        chosen = self._choose(connection, limit)
        current = config_versions(connection, {item.event.tenant for item in chosen}) if chosen else {}
        chosen, quota = self._matched(connection, chosen, current)
        made = Made(lease, capacity, now, _DELIVERIES_PER_PLAN - quota.deliveries)
        _deliver(connection, chosen, current, made)
        keep_bodies(connection, made.bodies)
        deliveries = made.write(connection)
        lower_next_due(connection, made.due)
        events = _mark(connection, chosen)
        more = connection.execute("SELECT 1 FROM main.unihooks_events WHERE planned_at IS NULL LIMIT 1").fetchone()
        return Planned(
            events=events, deliveries=deliveries, claimed=made.claimed, failed=made.failed, more=more is not None
        )

    def _choose(self, connection: sqlite3.Connection, limit: int) -> list[Chosen]:
        tenants = self._tenants(connection)
        if not tenants:
            return []
        each = limit if len(tenants) == 1 else -(-2 * limit // len(tenants))
        found = fetch_json(connection, _EVENTS, {"tenants": as_json(tenants), "each": each})
        rows = list(chain.from_iterable(found))
        if len(tenants) > 1:
            rows = list(round_robin(rows, lambda row: row[1]))[:limit]
        chosen: list[Chosen] = []
        size = 0
        for item in self._with_events(connection, rows):
            size += item.size
            if chosen and size > _BYTES_PER_PLAN:
                break
            chosen.append(item)
        served = {item.event.tenant for item in chosen}
        self._after = [tenant for tenant in tenants if tenant in served][-1]
        return chosen

    def _with_events(self, connection: sqlite3.Connection, rows: list[list[Any]]) -> list[Chosen]:
        handed = [self._recent_events.take(tenant, id_) for _, tenant, id_, _ in rows]
        missing = [row[0] for row, event in zip(rows, handed, strict=True) if event is None]
        contents = _contents(connection, missing) if missing else {}
        chosen = []
        for (row, tenant, id_, cursor), event in zip(rows, handed, strict=True):
            if event is not None:
                chosen.append(Chosen(row, event, len(event.body), cursor, []))
            else:
                product, event_type, created_at, size = contents[row]
                chosen.append(
                    Chosen(row, NewEvent(id_, tenant, product, event_type, b"", created_at), size, cursor, [])
                )
        return chosen

    def _tenants(self, connection: sqlite3.Connection) -> list[str]:
        tenants = fetch_json(connection, _TENANTS, {"after": self._after, "tenants": _TENANTS_PER_PLAN})
        if len(tenants) < _TENANTS_PER_PLAN and self._after:
            tenants += fetch_json(connection, _TENANTS, {"after": "", "tenants": _TENANTS_PER_PLAN})
        return list(dict.fromkeys(tenants))[:_TENANTS_PER_PLAN]

    def _matched(
        self, connection: sqlite3.Connection, chosen: list[Chosen], current: dict[str, int]
    ) -> tuple[list[Chosen], _Quota]:
        """Return the events that are planned now, each with its subscribers, and what is left of the quota."""
        quota, matched = _Quota(), []
        known: dict[tuple[str, ...], _Wanted | None] = {}
        for item in chosen:
            if quota.is_used_up:
                break
            event = item.event
            kind = (event.tenant, event.product, event.event_type, item.after)
            if kind not in known:
                known[kind] = self._wanted(connection, item, current[event.tenant])
            wanted = known[kind]
            if wanted and wanted.endpoints <= quota.deliveries and wanted.mappings * item.size <= quota.size:
                item.subscribers = wanted.subscribers
                quota.take(wanted.endpoints, wanted.mappings * item.size)
            else:
                self._match(connection, item, current[event.tenant], quota)
            matched.append(item)
        return matched, quota

    def _wanted(self, connection: sqlite3.Connection, item: Chosen, config_version: int) -> _Wanted | None:
        found = self._subscribers.whole(connection, item.event, config_version, item.after)
        if found is None:
            return None
        return _Wanted(found, sum(len(one.endpoints) for one in found), sum(bool(one.mapping) for one in found))

    def _match(self, connection: sqlite3.Connection, item: Chosen, config_version: int, quota: _Quota) -> None:
        """Give an event as many of its subscribers as the quota has room for."""
        for one in self._subscribers.matching(connection, item.event, config_version, item.after):
            if quota.is_used_up:
                item.cursor = item.subscribers[-1].webhook_id if item.subscribers else item.after
                return
            item.subscribers.append(one)
            quota.take(len(one.endpoints), item.size if one.mapping else 0)


def _contents(connection: sqlite3.Connection, rows: list[int]) -> dict[int, list[Any]]:
    return {row[0]: row[1:] for row in fetch_json(connection, _CONTENTS, {"rows": as_json(rows)})}


def _deliver(connection: sqlite3.Connection, chosen: list[Chosen], current: dict[str, int], made: Made) -> None:
    matched = [item for item in chosen if item.subscribers]
    unread = [(item.event.tenant, item.event.id) for item in matched if not item.event.body]
    payloads = event_bodies(connection, unread)
    made.existing = _existing(connection, matched)
    made.open_lanes = _open_lanes(matched)
    for item in matched:
        event = item.event
        if not event.body:
            event = evolve(event, body=payloads[event.tenant, event.id])
        config_version = current[event.tenant]
        for body in plan_event(event, item.subscribers, now=made.now):
            made.add(event, body, config_version)


def _existing(connection: sqlite3.Connection, matched: list[Chosen]) -> set[tuple[str, str]]:
    # Recovering a webhook may have planned an event for it already.
    fresh = [item.event.id for item in matched if not item.after]
    rows = fetch_json(connection, _EXISTING, {"events": as_json(fresh)})
    # Of an event that is partly planned there are many, so only those that matter are looked for.
    pairs = [
        (item.event.id, endpoint.id)
        for item in matched
        if item.after
        for one in item.subscribers
        for endpoint in one.endpoints
    ]
    if pairs:
        rows += fetch_json(connection, _EXISTING_OF_THESE, {"pairs": as_json(pairs)})
    return {(row[0], row[1]) for row in rows}


def _open_lanes(matched: list[Chosen]) -> set[str]:
    # Events of a kind share the list of their subscribers.
    different = {id(item.subscribers): item.subscribers for item in matched}.values()
    return {
        endpoint.id
        for subscribers in different
        for one in subscribers
        if one.interval.deactivated_at is None
        for endpoint in one.endpoints
        if endpoint.disabled_at is None
    }


def _mark(connection: sqlite3.Connection, chosen: list[Chosen]) -> int:
    done = [item.row for item in chosen if item.cursor is None]
    connection.execute(_PLANNED, (as_json(done),))
    partly = [(item.cursor, item.row) for item in chosen if item.cursor is not None]
    connection.executemany(_PARTLY, partly)
    return len(done)
