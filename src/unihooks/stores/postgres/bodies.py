"""Read and write the bytes of events and mapped bodies, many in one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unihooks.stores.postgres.statements import Statements, as_json, keyed, packed

Key = tuple[str, str]
Body = tuple[str, str, bytes, Sequence[str]]

_EVENT_BODIES = """
SELECT e.tenant, e.id, e.body FROM json_to_recordset(CAST(%(keys)s AS json)) AS k (tenant text, id text)
JOIN unihooks.events AS e ON e.tenant = k.tenant AND e.id = k.id
"""
_MAPPED_BODIES = """
SELECT b.event_id, b.webhook_id, b.body, b.warnings
FROM json_to_recordset(CAST(%(keys)s AS json)) AS k (event text, webhook text)
JOIN unihooks.bodies AS b ON b.event_id = k.event AND b.webhook_id = k.webhook
"""
_KEEP = """
INSERT INTO unihooks.bodies (event_id, webhook_id, body, warnings)
SELECT r.event, r.webhook, substr(%(bodies)b, r.start, r.length), r.warnings
FROM json_to_recordset(CAST(%(rows)s AS json))
    AS r (event text, webhook text, warnings text, start integer, length integer)
ON CONFLICT (event_id, webhook_id) DO NOTHING
"""


def event_bodies(it: Statements, keys: Iterable[Key]) -> dict[Key, bytes]:
    """Return the bodies of events, by tenant and id."""
    distinct = dict.fromkeys(keys)
    rows = it.fetch(_EVENT_BODIES, keys=keyed("tenant, id", distinct)) if distinct else []
    return {(tenant, id_): body for tenant, id_, body in rows}


def mapped_bodies(it: Statements, keys: Iterable[Key]) -> dict[Key, tuple[bytes, str]]:
    """Return mapped bodies and the JSON of their warnings, by event and webhook id."""
    distinct = dict.fromkeys(keys)
    rows = it.fetch(_MAPPED_BODIES, keys=keyed("event, webhook", distinct)) if distinct else []
    return {(event_id, webhook_id): (body, warnings) for event_id, webhook_id, body, warnings in rows}


def keep_bodies(it: Statements, bodies: Sequence[Body]) -> None:
    """Store mapped bodies (event id, webhook id, body, warnings); what is there already stays."""
    if not bodies:
        return
    blob, places = packed(body for _, _, body, _ in bodies)
    rows = [
        (event_id, webhook_id, as_json(warnings), *place)
        for (event_id, webhook_id, _, warnings), place in zip(bodies, places, strict=True)
    ]
    it.run(_KEEP, rows=keyed("event, webhook, warnings, start, length", rows), bodies=blob)
