"""Erase what events said and what came of it; forget idempotency keys."""

from __future__ import annotations

from collections.abc import Collection

from unihooks.abc import ERASED
from unihooks.stores.postgres.statements import Statements

# Whoever plans, replays or recovers these events has ended, or has to wait.
_EVENTS = """
SELECT id, created_at, octet_length(body) FROM unihooks.events WHERE tenant = %(tenant)s AND id > %(after)s
ORDER BY id LIMIT %(limit)s FOR UPDATE
"""
_THESE_EVENTS = """
SELECT id, created_at, octet_length(body) FROM unihooks.events
WHERE tenant = %(tenant)s AND id = ANY(%(events)s) ORDER BY id FOR UPDATE
"""
# Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
_LOCK_DELIVERIES = "SELECT 1 FROM unihooks.deliveries WHERE event_id = ANY(%(events)s) ORDER BY tenant, id FOR UPDATE"
_EMPTY_EVENTS = """
UPDATE unihooks.events SET body = '', idempotency_key = NULL, digest = NULL,
    planned_at = coalesce(planned_at, %(now)s)
WHERE tenant = %(tenant)s AND id = ANY(%(events)s)
"""
_EMPTY_BODIES = "DELETE FROM unihooks.bodies WHERE event_id = ANY(%(events)s)"
_EMPTY_ATTEMPTS = """
UPDATE unihooks.attempts AS a SET request_headers = '[]', response_headers = '[]', response_body = '', warnings = '[]'
FROM unihooks.deliveries AS d WHERE d.event_id = ANY(%(events)s) AND a.delivery_id = d.id
"""
# What was cancelled may still be under way while it has a token; its attempt is not to be kept.
_END_DELIVERIES = """
UPDATE unihooks.deliveries SET
    token = NULL,
    reason = CASE WHEN state = 'pending' OR body_of = 'none' THEN %(reason)s ELSE reason END,
    state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END,
    finished_at = CASE state WHEN 'pending' THEN %(now)s ELSE finished_at END
WHERE event_id = ANY(%(events)s) AND (state = 'pending' OR body_of = 'none' OR token IS NOT NULL)
"""
_FORGET_KEYS = """
WITH old AS (
    SELECT tenant, id FROM unihooks.events WHERE idempotency_key IS NOT NULL AND created_at < %(older_than)s
    ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE unihooks.events AS e SET idempotency_key = NULL, digest = NULL
FROM old WHERE e.tenant = old.tenant AND e.id = old.id
"""


def forget_keys(it: Statements, older_than: int, limit: int) -> int:
    """Forget old idempotency keys."""
    return it.run(_FORGET_KEYS, older_than=older_than, limit=limit)


def erase(
    it: Statements, tenant: str, event_ids: Collection[str] | None, before: int | None, *, after: str, limit: int
) -> tuple[int, str | None]:
    """Erase the next events; return how many, and where to go on."""
    if event_ids is None:
        found = it.fetch(_EVENTS, tenant=tenant, after=after, limit=limit)
        last = found[-1][0] if len(found) == limit else None
    else:
        chosen = sorted(one for one in set(event_ids) if one > after)
        found = it.fetch(_THESE_EVENTS, tenant=tenant, events=chosen[:limit])
        last = chosen[limit - 1] if len(chosen) > limit else None
    told = [id_ for id_, created_at, size in found if size and (before is None or created_at < before)]
    if told:
        it.fetch(_LOCK_DELIVERIES, events=told)
        it.run(_EMPTY_EVENTS, tenant=tenant, events=told, now=it.now)
        it.run(_EMPTY_BODIES, events=told)
        it.run(_EMPTY_ATTEMPTS, events=told)
        it.run(_END_DELIVERIES, events=told, reason=ERASED, now=it.now)
    return len(told), last
