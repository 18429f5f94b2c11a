"""Turn new events into deliveries, tenants in turn."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import define, evolve, field

from unihooks._base.ids import new_id
from unihooks._base.round_robin import round_robin
from unihooks._base.times import SECOND
from unihooks._contract.planning import NewEvent, PlannedBody, Subscriber, plan_event
from unihooks.abc import Capacity, Claimed, Ended, Lease, Planned
from unihooks.stores.postgres.bodies import Body, event_bodies, keep_bodies
from unihooks.stores.postgres.claims import LOCK_LANES, LOWER, lowered
from unihooks.stores.postgres.config import PLAN_ALONG, PLANNED_TENANTS
from unihooks.stores.postgres.deliveries import INSERT, inserted
from unihooks.stores.postgres.statements import Opening, Row, Statements, keyed
from unihooks.stores.postgres.subscribers import Subscribers
from unihooks.stores.sql.rows import delivery_row, failed_to_map, leased_as_planned

_TENANTS_PER_PLAN = 100
_DELIVERIES_PER_PLAN = 1_000
_BYTES_PER_PLAN = 8 * 1024 * 1024
# Bodies of up to so many bytes come along; larger ones are read when it is known who wants them.
_SMALL = 8 * 1024

# By what is new alone, never by an id or time that was reached: an older event may commit later.
_EVENTS = f"""
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.events
     WHERE planned_at IS NULL AND tenant > %(after)s ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant FROM unihooks.events AS e
            WHERE e.planned_at IS NULL AND e.tenant > turns.tenant ORDER BY e.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
), served AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL LIMIT %(tenants)s)
SELECT e.tenant, e.id, e.product, e.event_type, octet_length(e.body), e.created_at, e.plan_cursor,
    CASE WHEN octet_length(e.body) <= %(small)s THEN e.body END
FROM (SELECT set_config('{PLANNED_TENANTS}', (SELECT CAST(json_agg(tenant) AS text) FROM served), true)) AS told
CROSS JOIN served CROSS JOIN LATERAL (
    SELECT * FROM unihooks.events WHERE tenant = served.tenant AND planned_at IS NULL
    ORDER BY id LIMIT (SELECT ceil(CAST(%(limit)s AS numeric) / count(*)) FROM served)
    FOR NO KEY UPDATE SKIP LOCKED
) AS e ORDER BY e.tenant, e.id
"""
# The events are claimed; a change that was made before they were emitted is seen from here on.
_FIND = (_EVENTS, *PLAN_ALONG)
_MARK = """
WITH found AS (SELECT * FROM json_to_recordset(CAST(%(rows)s AS json)) AS r (tenant text, id text, cursor text))
UPDATE unihooks.events AS e SET
    planned_at = CASE WHEN found.cursor IS NULL THEN CAST(%(now)s AS bigint) END,
    plan_cursor = coalesce(found.cursor, e.plan_cursor)
FROM found WHERE e.tenant = found.tenant AND e.id = found.id
"""
_MORE = "SELECT EXISTS (SELECT 1 FROM unihooks.events WHERE planned_at IS NULL ORDER BY tenant, id LIMIT 1)"


@define
class Chosen:
    """Be a new event with the subscribers that it is planned for now; `cursor` is where the next call goes on.

    The event's body is empty as long as it has not been read.
    """

    event: NewEvent
    size: int
    after: str
    subscribers: list[Subscriber]
    cursor: str | None = None


@define
class Made:
    """Gather what planning makes, to be written in few statements."""

    lease: Lease
    capacity: Capacity
    now: int
    rows: list[Row] = field(factory=list)
    claimed: list[Claimed] = field(factory=list)
    failed: list[Ended] = field(factory=list)
    due: dict[str, int] = field(factory=dict)
    bodies: list[Body] = field(factory=list)

    @property
    def until(self) -> int:
        """Return when a lease of now ends."""
        return self.now + round(self.lease.seconds * SECOND)

    def deliver(self, item: Chosen, event: NewEvent, config_version: int) -> None:
        """Make what an event leads to."""
        open_lanes = _open_lanes(item.subscribers)
        for body in plan_event(event, item.subscribers, now=self.now):
            if body.body is not None:
                self.bodies.append((event.id, body.webhook_id, body.body, body.warnings))
            for endpoint_id in body.endpoint_ids:
                self._add(event, body, endpoint_id, is_open=endpoint_id in open_lanes, config_version=config_version)

    def _add(self, event: NewEvent, body: PlannedBody, endpoint_id: str, *, is_open: bool, config_version: int) -> None:
        id_ = new_id("dlv_", self.now)
        if body.failure is not None:
            self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now))
            self.failed.append(failed_to_map(event, body, endpoint_id, id_))
            return
        leased = is_open and self.capacity.take(endpoint_id)
        due_at = self.until if leased else self.now
        token = self.lease.token if leased else None
        self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now, due_at=due_at, token=token))
        self.due[endpoint_id] = min(self.due.get(endpoint_id, due_at), due_at)
        if leased:
            self.claimed.append(leased_as_planned(event, body, endpoint_id, id_, (self.lease.token, config_version)))


class Plans:
    """Plan in turn; remember which tenant comes next, and the subscribers of late."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._lock = threading.Lock()
        self._after = ""
        self._subscribers = Subscribers()

    def opening(self, limit: int) -> Opening:
        """Return the statements that find new events and their tenants' config_versions, with their parameters."""
        with self._lock:
            return _FIND, self._parameters(self._after, limit)

    def plan(self, it: Statements, lease: Lease, capacity: Capacity, limit: int, *, after: str) -> Planned:
        """Plan up to `limit` new events, found by `opening` beyond the tenant `after`; `room` is left as it is."""
        rows, _, config_versions = it.opening
        if after and not rows:
            rows, _, config_versions = it.fetch_each(*_FIND, **self._parameters("", limit))
        chosen = self._choose(rows, limit, after)
        if not chosen:
            return Planned(more=_more(it))
        current = dict.fromkeys((item.event.tenant for item in chosen), 0) | dict(config_versions)
        chosen = list(self._matched(it, chosen, current))
        made = Made(lease, capacity.copy(), it.now)
        _deliver(it, chosen, current, made)
        keep_bodies(it, made.bodies)
        kept, more = _write(it, chosen, made)
        events = sum(item.cursor is None for item in chosen)
        claimed = [item for item in made.claimed if item.id in kept]
        failed = [item for item in made.failed if item.delivery_id in kept]
        return Planned(events=events, deliveries=len(kept), claimed=claimed, failed=failed, more=more)

    def _parameters(self, after: str, limit: int) -> dict[str, Any]:
        # Of each of many tenants a little, so that few events are locked in vain.
        tenants = _TENANTS_PER_PLAN
        return {"schema": self._schema, "after": after, "tenants": tenants, "limit": limit, "small": _SMALL}

    def _choose(self, rows: Sequence[Row], limit: int, after: str) -> list[Chosen]:
        chosen: list[Chosen] = []
        size = 0
        for row in list(round_robin(rows, lambda row: row[0]))[:limit]:
            size += row[4]
            if chosen and size > _BYTES_PER_PLAN:
                break
            event = NewEvent(row[1], row[0], row[2], row[3], row[7] or b"", row[5])
            chosen.append(Chosen(event, row[4], row[6], []))
        served = {item.event.tenant for item in chosen}
        with self._lock:
            everyone = not after and len(served) < min(limit, _TENANTS_PER_PLAN)
            self._after = "" if everyone else max(served, default="")
        return chosen

    def _matched(self, it: Statements, chosen: list[Chosen], current: dict[str, int]) -> Iterator[Chosen]:
        capacity, mapped = _DELIVERIES_PER_PLAN, 0
        for item in chosen:
            if capacity <= 0 or mapped > _BYTES_PER_PLAN:
                return
            event = item.event
            for one in self._subscribers.matching(it, event, current[event.tenant], item.after):
                if capacity <= 0 or mapped > _BYTES_PER_PLAN:
                    item.cursor = item.subscribers[-1].webhook_id if item.subscribers else item.after
                    break
                item.subscribers.append(one)
                capacity -= len(one.endpoints)
                mapped += item.size if one.mapping else 0
            yield item


def _deliver(it: Statements, chosen: Iterable[Chosen], current: dict[str, int], made: Made) -> None:
    matched = [item for item in chosen if item.subscribers]
    unread = [(item.event.tenant, item.event.id) for item in matched if not item.event.body]
    payloads = event_bodies(it, unread)
    for item in matched:
        event = item.event
        if not event.body:
            event = evolve(event, body=payloads[event.tenant, event.id])
        made.deliver(item, event, current[event.tenant])


def _open_lanes(subscribers: list[Subscriber]) -> set[str]:
    return {
        endpoint.id
        for one in subscribers
        if one.interval.deactivated_at is None
        for endpoint in one.endpoints
        if endpoint.disabled_at is None
    }


def _write(it: Statements, chosen: list[Chosen], made: Made) -> tuple[set[str], bool]:
    """Insert the deliveries, mark the events as planned, lower their lanes, and commit.

    Return the ids of the deliveries inserted, and whether there are more events.
    """
    rows = keyed("tenant, id, cursor", [(item.event.tenant, item.event.id, item.cursor) for item in chosen])
    given = {"rows": rows, "now": it.now}
    statements = [_MARK, _MORE]
    if made.due:
        statements[1:1] = [LOCK_LANES, LOWER]
        given |= lowered(made.due)
    if made.rows:
        statements.insert(0, INSERT)
        given |= inserted(made.rows)
    first, *_, [(more,)] = it.fetch_each(*statements, commit=True, **given)
    return {row[0] for row in first} if made.rows else set(), bool(more)


def _more(it: Statements) -> bool:
    return bool(it.fetch(_MORE)[0][0])
