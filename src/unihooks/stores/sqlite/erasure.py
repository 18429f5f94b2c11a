"""Erase what events said and what came of it; forget idempotency keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from unihooks.abc import ERASED
from unihooks.stores.sqlite.statements import as_json

_EVENTS = """
SELECT id, created_at, length(body) FROM main.unihooks_events WHERE tenant = :tenant AND id > :after
ORDER BY id LIMIT :limit
"""
_THESE_EVENTS = """
SELECT e.id, e.created_at, length(e.body) FROM json_each(:events) AS k
CROSS JOIN main.unihooks_events AS e ON e.tenant = :tenant AND e.id = k.value
"""
_ERASE = (
    """
    UPDATE main.unihooks_events SET body = x'', idempotency_key = NULL, digest = NULL, planned_at = 1
    WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:events))
    """,
    "DELETE FROM main.unihooks_bodies WHERE event_id IN (SELECT value FROM json_each(:events))",
    """
    UPDATE main.unihooks_attempts
    SET request_headers = '[]', response_headers = '[]', response_body = x'', warnings = '[]'
    WHERE delivery_id IN (
        SELECT id FROM main.unihooks_deliveries WHERE event_id IN (SELECT value FROM json_each(:events))
    )
    """,
    """
    UPDATE main.unihooks_deliveries SET reason = :reason
    WHERE event_id IN (SELECT value FROM json_each(:events)) AND body_of = 'none'
    """,
    """
    UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason, finished_at = :now
    WHERE event_id IN (SELECT value FROM json_each(:events)) AND +state = 'pending'
    """,
    # What was cancelled may still be under way; its attempt is not to be kept.
    """
    UPDATE main.unihooks_deliveries SET token = NULL
    WHERE event_id IN (SELECT value FROM json_each(:events)) AND token IS NOT NULL
    """,
)
_FORGET_KEYS = """
UPDATE main.unihooks_events SET idempotency_key = NULL, digest = NULL WHERE rowid IN (
    SELECT rowid FROM main.unihooks_events
    WHERE idempotency_key IS NOT NULL AND created_at < :older_than ORDER BY created_at LIMIT :limit
)
"""


def forget_keys(connection: sqlite3.Connection, older_than: int, limit: int) -> int:
    """Forget old idempotency keys."""
    return connection.execute(_FORGET_KEYS, {"older_than": older_than, "limit": limit}).rowcount


def erase(
    connection: sqlite3.Connection,
    tenant: str,
    event_ids: Collection[str] | None,
    before: int | None,
    *,
    after: str,
    limit: int,
    now: int,
) -> tuple[int, str | None]:
    """Erase the next events; return how many, and where to go on."""
    parameters = {"tenant": tenant, "after": after, "limit": limit}
    if event_ids is None:
        found = connection.execute(_EVENTS, parameters).fetchall()
        last = found[-1][0] if len(found) == limit else None
    else:
        chosen = sorted(one for one in set(event_ids) if one > after)
        found = connection.execute(_THESE_EVENTS, {**parameters, "events": as_json(chosen[:limit])}).fetchall()
        last = chosen[limit - 1] if len(chosen) > limit else None
    told = [id_ for id_, created_at, size in found if size and (before is None or created_at < before)]
    for statement in _ERASE if told else ():
        connection.execute(statement, {"tenant": tenant, "events": as_json(told), "reason": ERASED, "now": now})
    return len(told), last
