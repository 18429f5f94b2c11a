"""Keep the database in order: workers' signs of life, deliveries held too long, old events, figures."""

from __future__ import annotations

import json
import os
import socket
import sqlite3

from unihooks._base.times import SECOND, from_us
from unihooks._contract.leasing import holder, with_leases
from unihooks._contract.statistics import HOUR
from unihooks.abc import HELD_TOO_LONG, QueueStatistics, WorkerSeen
from unihooks.stores.sqlite.statements import as_json

_SEEN_WITHIN = 60 * SECOND

_BEAT = """
INSERT INTO main.unihooks_workers (id, host, pid, seen_at) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, seen_at = excluded.seen_at
"""
_EXPIRE = """
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason, finished_at = :now
WHERE (tenant, id) IN (
    SELECT d.tenant, d.id FROM main.unihooks_lanes AS l
    CROSS JOIN main.unihooks_deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE l.open = 0 AND l.closed_at < :older_than AND d.created_at < :older_than LIMIT :limit
)
"""
_OLD_EVENTS = """
SELECT rowid, id FROM main.unihooks_events AS e
WHERE planned_at IS NOT NULL AND created_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM main.unihooks_deliveries AS d WHERE d.event_id = e.id AND d.state = 'pending'
)
ORDER BY created_at LIMIT :limit
"""
_PRUNE = (
    """
    DELETE FROM main.unihooks_attempts WHERE delivery_id IN (
        SELECT id FROM main.unihooks_deliveries WHERE event_id IN (SELECT value FROM json_each(:events))
    )
    """,
    "DELETE FROM main.unihooks_deliveries WHERE event_id IN (SELECT value FROM json_each(:events))",
    "DELETE FROM main.unihooks_bodies WHERE event_id IN (SELECT value FROM json_each(:events))",
    "DELETE FROM main.unihooks_events WHERE rowid IN (SELECT value FROM json_each(:rows))",
    "DELETE FROM main.unihooks_hours WHERE hour < :hour",
    "DELETE FROM main.unihooks_answers WHERE created_at < :older_than",
    """
    DELETE FROM main.unihooks_former_endpoints WHERE removed_at < :older_than AND NOT EXISTS (
        SELECT 1 FROM main.unihooks_events WHERE planned_at IS NOT NULL AND created_at < :older_than
    )
    """,
)
_COUNTS = """
SELECT
    coalesce(sum(l.open AND d.due_at <= :now), 0),
    coalesce(sum(NOT l.open), 0),
    json_group_array(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now)
FROM main.unihooks_lanes AS l
CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
"""
_OLDEST = """
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE planned_at IS NULL
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE planned_at IS NULL AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL
)
SELECT min((
    SELECT created_at FROM main.unihooks_events
    WHERE tenant = turns.tenant AND planned_at IS NULL ORDER BY id LIMIT 1
)) FROM turns WHERE tenant IS NOT NULL
"""


def heartbeat(connection: sqlite3.Connection, worker_id: str, now: int, *, gone: bool) -> None:
    """Note that a worker of this process lives or has ended; forget those that were not seen for long."""
    connection.execute("DELETE FROM main.unihooks_workers WHERE seen_at < ?", (now - 60 * _SEEN_WITHIN,))
    if gone:
        connection.execute("DELETE FROM main.unihooks_workers WHERE id = ?", (worker_id,))
    else:
        connection.execute(_BEAT, (worker_id, socket.gethostname(), os.getpid(), now))


def expire_held(connection: sqlite3.Connection, older_than: int, limit: int, now: int) -> int:
    """Cancel deliveries held for too long."""
    parameters = {"reason": HELD_TOO_LONG, "now": now, "older_than": older_than, "limit": limit}
    return connection.execute(_EXPIRE, parameters).rowcount


def prune(connection: sqlite3.Connection, older_than: int, limit: int) -> int:
    """Remove old events with all that belongs to them."""
    found = connection.execute(_OLD_EVENTS, {"older_than": older_than, "limit": limit}).fetchall()
    parameters = {
        "rows": as_json([row[0] for row in found]),
        "events": as_json([row[1] for row in found]),
        "older_than": older_than,
        "hour": older_than // HOUR,
    }
    for statement in _PRUNE:
        connection.execute(statement, parameters)
    return len(found)


def statistics(connection: sqlite3.Connection, now: int) -> QueueStatistics:
    """Count what is due, held and in flight, and who works."""
    due, held, tokens = connection.execute(_COUNTS, {"now": now}).fetchone()
    holders = [holder(token) for token in json.loads(tokens)]
    failing = connection.execute("SELECT count(*) FROM main.unihooks_lanes WHERE failing_since IS NOT NULL")
    workers = connection.execute(
        "SELECT id, host, pid, seen_at FROM main.unihooks_workers WHERE seen_at >= ? ORDER BY id",
        (now - _SEEN_WITHIN,),
    )
    seen = [WorkerSeen(id=row[0], host=row[1], pid=row[2], seen_at=from_us(row[3])) for row in workers]
    return QueueStatistics(
        oldest_unplanned=oldest_unplanned(connection),
        due=due,
        held=held,
        in_flight=len(holders),
        failing_endpoints=failing.fetchone()[0],
        workers=with_leases(seen, holders),
    )


def oldest_unplanned(connection: sqlite3.Connection) -> int | None:
    """Return when the oldest new event was made, looking at one of each tenant."""
    at = connection.execute(_OLDEST).fetchone()[0]
    return None if at is None else int(at)
