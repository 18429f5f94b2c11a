"""Turn new events into deliveries, tenants in turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, evolve, field

from unihooks._ids import new_id
from unihooks._planning import NewEvent, PlannedBody, Subscriber, plan_event
from unihooks._times import SECOND
from unihooks.abc import Claimed, Ended, Lease, Planned, Room
from unihooks.stores._handover import Handover
from unihooks.stores._rows import delivery_row, failed_to_map
from unihooks.stores._sqlite_bodies import event_bodies, keep_bodies
from unihooks.stores._sqlite_claims import lower_next_due
from unihooks.stores._sqlite_config import stamps
from unihooks.stores._sqlite_statements import as_json, fetch_json, with_values
from unihooks.stores._sqlite_subscribers import Subscribers
from unihooks.stores._turns import in_turn

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
_PLANNED = "UPDATE main.unihooks_events SET planned_at = :now WHERE rowid IN (SELECT value FROM json_each(:rows))"
_PARTLY = "UPDATE main.unihooks_events SET plan_cursor = ? WHERE rowid = ?"
_INSERT = """
INSERT INTO main.unihooks_deliveries (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, body_of, state, due_at, token, reason,
    replay_of, created_at, finished_at
)
"""


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
class Made:
    """Gather what planning makes, to be written in few statements."""

    lease: Lease
    room: Room
    now: int
    until: int = field(init=False)
    rows: list[tuple[Any, ...]] = field(factory=list)
    claimed: list[Claimed] = field(factory=list)
    due: dict[str, int] = field(factory=dict)
    failed: list[Ended] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.until = self.now + round(self.lease.seconds * SECOND)

    def add(self, event: NewEvent, body: PlannedBody, endpoint_id: str, *, is_open: bool, stamp: int) -> None:
        """Make one delivery, leased if its lane is open and has room."""
        id_ = new_id("dlv_", self.now)
        if body.failure is not None:
            self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now))
            self.failed.append(failed_to_map(event, body, endpoint_id, id_))
            return
        leased = is_open and self.room.take(endpoint_id)
        due_at = self.until if leased else self.now
        token = self.lease.token if leased else None
        self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now, due_at=due_at, token=token))
        self.due[endpoint_id] = min(self.due.get(endpoint_id, due_at), due_at)
        if leased:
            self.claimed.append(_claimed(event, body, endpoint_id, id_, token=self.lease.token, stamp=stamp))


class Plans:
    """Plan in turn; remember which tenant comes next, and the subscribers and events of late."""

    def __init__(self) -> None:
        self._after = ""
        self._subscribers = Subscribers()
        self._handover = Handover()

    def keep(self, events: Iterable[NewEvent]) -> None:
        """Take events that this process has inserted."""
        self._handover.keep(events)

    def forget(self) -> None:
        """Forget what was read or inserted in a transaction that did not last."""
        self._subscribers = Subscribers()
        self._handover.forget()

    def plan(self, connection: sqlite3.Connection, lease: Lease, room: Room, limit: int, *, now: int) -> Planned:
        """Plan up to `limit` new events."""
        self._handover.is_wanted = True
        chosen = self._choose(connection, limit)
        current = stamps(connection, {item.event.tenant for item in chosen}) if chosen else {}
        chosen = list(self._matched(connection, chosen, current))
        made = Made(lease, room, now)
        bodies = _deliver(connection, chosen, current, made)
        keep_bodies(connection, bodies)
        insert_deliveries(connection, made.rows)
        lower_next_due(connection, made.due)
        events = _mark(connection, chosen, now)
        more = connection.execute("SELECT 1 FROM main.unihooks_events WHERE planned_at IS NULL LIMIT 1").fetchone()
        return Planned(
            events=events, deliveries=len(made.rows), claimed=made.claimed, failed=made.failed, more=more is not None
        )

    def _choose(self, connection: sqlite3.Connection, limit: int) -> list[Chosen]:
        tenants = self._tenants(connection)
        if not tenants:
            return []
        each = limit if len(tenants) == 1 else -(-2 * limit // len(tenants))
        found = fetch_json(connection, _EVENTS, {"tenants": as_json(tenants), "each": each})
        rows = list(in_turn([row for of_tenant in found for row in of_tenant], lambda row: row[1]))[:limit]
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
        handed = {row[0]: self._handover.take(row[1], row[2]) for row in rows}
        missing = as_json([row for row, event in handed.items() if event is None])
        contents = {row[0]: row[1:] for row in fetch_json(connection, _CONTENTS, {"rows": missing})}
        chosen = []
        for row, tenant, id_, cursor in rows:
            event = handed[row]
            if event is not None:
                chosen.append(Chosen(row, event, len(event.body), cursor, []))
            else:
                product, event_type, created_at, size = contents[row]
                event = NewEvent(id_, tenant, product, event_type, b"", created_at)
                chosen.append(Chosen(row, event, size, cursor, []))
        return chosen

    def _tenants(self, connection: sqlite3.Connection) -> list[str]:
        tenants = fetch_json(connection, _TENANTS, {"after": self._after, "tenants": _TENANTS_PER_PLAN})
        if len(tenants) < _TENANTS_PER_PLAN and self._after:
            tenants += fetch_json(connection, _TENANTS, {"after": "", "tenants": _TENANTS_PER_PLAN})
        return list(dict.fromkeys(tenants))[:_TENANTS_PER_PLAN]

    def _matched(
        self, connection: sqlite3.Connection, chosen: list[Chosen], current: dict[str, int]
    ) -> Iterator[Chosen]:
        room, mapped = _DELIVERIES_PER_PLAN, 0
        for item in chosen:
            if room <= 0 or mapped > _BYTES_PER_PLAN:
                return
            event = item.event
            matching = self._subscribers.matching(connection, event, current[event.tenant], item.after)
            for one in matching:
                if room <= 0 or mapped > _BYTES_PER_PLAN:
                    item.cursor = item.subscribers[-1].webhook_id if item.subscribers else item.after
                    break
                item.subscribers.append(one)
                room -= len(one.endpoints)
                mapped += item.size if one.mapping else 0
            yield item


def insert_deliveries(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows made by `delivery_row`."""
    with_values(connection, _INSERT, rows)


def _deliver(
    connection: sqlite3.Connection, chosen: list[Chosen], current: dict[str, int], made: Made
) -> list[tuple[str, str, bytes, tuple[str, ...]]]:
    matched = [item for item in chosen if item.subscribers]
    unread = ((item.event.tenant, item.event.id) for item in matched if not item.event.body)
    payloads = event_bodies(connection, unread)
    existing = _existing(connection, matched)
    bodies: list[tuple[str, str, bytes, tuple[str, ...]]] = []
    for item in matched:
        event = item.event
        if not event.body:
            event = evolve(event, body=payloads[event.tenant, event.id])
        open_lanes = _open_lanes(item.subscribers)
        for body in plan_event(event, item.subscribers, now=made.now):
            if body.body is not None:
                bodies.append((event.id, body.webhook_id, body.body, body.warnings))
            for endpoint_id in body.endpoint_ids:
                if (event.id, endpoint_id) not in existing:
                    is_open = endpoint_id in open_lanes
                    made.add(event, body, endpoint_id, is_open=is_open, stamp=current[event.tenant])
    return bodies


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


def _open_lanes(subscribers: list[Subscriber]) -> set[str]:
    return {
        endpoint.id
        for one in subscribers
        if one.interval.deactivated_at is None
        for endpoint in one.endpoints
        if endpoint.disabled_at is None
    }


def _mark(connection: sqlite3.Connection, chosen: list[Chosen], now: int) -> int:
    done = [item.row for item in chosen if item.cursor is None]
    connection.execute(_PLANNED, {"now": now, "rows": as_json(done)})
    partly = [(item.cursor, item.row) for item in chosen if item.cursor is not None]
    connection.executemany(_PARTLY, partly)
    return len(done)


def _claimed(event: NewEvent, body: PlannedBody, endpoint_id: str, id_: str, *, token: int, stamp: int) -> Claimed:
    return Claimed(
        event.tenant,
        id_,
        event.id,
        body.webhook_id,
        endpoint_id,
        event.product,
        event.event_type,
        event.body if body.body is None else body.body,
        body.warnings,
        0,
        0,
        token,
        stamp,
    )
