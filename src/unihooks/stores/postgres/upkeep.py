"""Keep the database in order: workers' signs of life, deliveries held too long, old events, figures."""

from __future__ import annotations

import os
import socket

from unihooks._base.times import SECOND, from_us
from unihooks._contract.leasing import holder, with_leases
from unihooks._contract.statistics import HOUR
from unihooks.abc import HELD_TOO_LONG, QueueStatistics, WorkerSeen
from unihooks.stores.postgres.statements import Statements

_SEEN_WITHIN = 60 * SECOND

_FORGET = """
DELETE FROM unihooks.workers WHERE id IN (
    SELECT id FROM unihooks.workers WHERE seen_at < %(before)s FOR UPDATE SKIP LOCKED
)
"""
_BEAT = """
INSERT INTO unihooks.workers (id, host, pid, seen_at) VALUES (%(id)s, %(host)s, %(pid)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, seen_at = excluded.seen_at
"""
_EXPIRE = """
WITH old AS (
    SELECT d.tenant, d.id FROM unihooks.lanes AS l
    JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE NOT l.open AND l.closed_at < %(older_than)s AND d.created_at < %(older_than)s
    LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = %(reason)s, finished_at = %(now)s
FROM old WHERE d.tenant = old.tenant AND d.id = old.id
"""
_OLD_EVENTS = """
SELECT tenant, id FROM unihooks.events AS e
WHERE planned_at IS NOT NULL AND created_at < %(older_than)s AND NOT EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d WHERE d.event_id = e.id AND d.state = 'pending'
)
ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
# Looked at again now that they are locked: a replay may have come between.
_STILL_PENDING = (
    "SELECT DISTINCT event_id FROM unihooks.deliveries WHERE event_id = ANY(%(events)s) AND state = 'pending'"
)
_PRUNE = (
    """
    DELETE FROM unihooks.attempts AS a USING unihooks.deliveries AS d
    WHERE a.delivery_id = d.id AND d.event_id = ANY(%(events)s)
    """,
    "DELETE FROM unihooks.deliveries WHERE event_id = ANY(%(events)s)",
    "DELETE FROM unihooks.bodies WHERE event_id = ANY(%(events)s)",
    "DELETE FROM unihooks.events WHERE tenant = ANY(%(tenants)s) AND id = ANY(%(events)s)",
)
_PRUNE_HOURS = "DELETE FROM unihooks.hours WHERE hour < %(hour)s"
_PRUNE_ANSWERS = """
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers WHERE created_at < %(older_than)s FOR UPDATE SKIP LOCKED
)
"""
_PRUNE_ENDPOINTS = """
DELETE FROM unihooks.former_endpoints WHERE removed_at < %(older_than)s AND NOT EXISTS (
    SELECT 1 FROM unihooks.events WHERE planned_at IS NOT NULL AND created_at < %(older_than)s
)
"""
_COUNTS = """
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= %(now)s),
    count(*) FILTER (WHERE NOT l.open),
    array_agg(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > %(now)s)
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
"""
_OLDEST = """
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.events WHERE planned_at IS NULL ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant FROM unihooks.events AS e
            WHERE e.planned_at IS NULL AND e.tenant > turns.tenant ORDER BY e.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
)
SELECT min((
    SELECT e.created_at FROM unihooks.events AS e
    WHERE e.tenant = turns.tenant AND e.planned_at IS NULL ORDER BY e.id LIMIT 1
)) FROM turns WHERE tenant IS NOT NULL
"""


def heartbeat(it: Statements, worker_id: str, *, gone: bool) -> None:
    """Note that a worker of this process lives or has ended; forget those that were not seen for long."""
    it.run(_FORGET, before=it.now - 60 * _SEEN_WITHIN)
    if gone:
        it.run("DELETE FROM unihooks.workers WHERE id = %(id)s", id=worker_id)
    else:
        it.run(_BEAT, id=worker_id, host=socket.gethostname(), pid=os.getpid(), now=it.now)


def expire_held(it: Statements, older_than: int, limit: int) -> int:
    """Cancel deliveries held for too long."""
    return it.run(_EXPIRE, reason=HELD_TOO_LONG, now=it.now, older_than=older_than, limit=limit)


def prune(it: Statements, older_than: int, limit: int) -> int:
    """Remove old events with all that belongs to them."""
    found = it.fetch(_OLD_EVENTS, older_than=older_than, limit=limit)
    pending = {row[0] for row in it.fetch(_STILL_PENDING, events=[id_ for _, id_ in found])}
    gone = [(tenant, id_) for tenant, id_ in found if id_ not in pending]
    tenants, events = list({tenant for tenant, _ in gone}), [id_ for _, id_ in gone]
    for statement in _PRUNE if gone else ():
        given = {"tenants": tenants} if "tenants" in statement else {}
        it.run(statement, events=events, **given)
    it.run(_PRUNE_HOURS, hour=older_than // HOUR)
    it.run(_PRUNE_ANSWERS, older_than=older_than)
    it.run(_PRUNE_ENDPOINTS, older_than=older_than)
    return len(gone)


def statistics(it: Statements) -> QueueStatistics:
    """Count what is due, held and in flight, and who works."""
    due, held, tokens = it.fetch(_COUNTS, now=it.now)[0]
    holders = [holder(token) for token in tokens or ()]
    failing = it.fetch("SELECT count(*) FROM unihooks.lanes WHERE failing_since IS NOT NULL")
    seen = "SELECT id, host, pid, seen_at FROM unihooks.workers WHERE seen_at >= %(since)s ORDER BY id"
    rows = it.fetch(seen, since=it.now - _SEEN_WITHIN)
    workers = [WorkerSeen(id=row[0], host=row[1], pid=row[2], seen_at=from_us(row[3])) for row in rows]
    return QueueStatistics(
        oldest_unplanned=oldest_unplanned(it),
        due=due,
        held=held,
        in_flight=len(holders),
        failing_endpoints=failing[0][0],
        workers=with_leases(workers, holders),
    )


def oldest_unplanned(it: Statements) -> int | None:
    """Return when the oldest new event was made, looking at one of each tenant."""
    at = it.fetch(_OLDEST)[0][0]
    return None if at is None else int(at)
