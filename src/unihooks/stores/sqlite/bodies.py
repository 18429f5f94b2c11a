"""Read and write the bytes of events and mapped bodies, many in one step."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from unihooks.stores.sqlite.statements import as_json, with_values

Key = tuple[str, str]

# All bodies come as one blob, beside their keys and lengths: reading row by row would cost a step each.
_EVENT_BODIES = """
SELECT json_group_array(json_array(tenant, id, length(body))), CAST(group_concat(body, '') AS BLOB) FROM (
    SELECT e.tenant, e.id, e.body FROM json_each(?) AS k
    CROSS JOIN main.unihooks_events AS e
        ON e.tenant = json_extract(k.value, '$[0]') AND e.id = json_extract(k.value, '$[1]')
)
"""
_MAPPED_BODIES = """
SELECT json_group_array(json_array(event_id, webhook_id, length(body), json(warnings))),
    CAST(group_concat(body, '') AS BLOB)
FROM (
    SELECT b.event_id, b.webhook_id, b.body, b.warnings FROM json_each(?) AS k
    CROSS JOIN main.unihooks_bodies AS b
        ON b.event_id = json_extract(k.value, '$[0]') AND b.webhook_id = json_extract(k.value, '$[1]')
)
"""
_INSERT = "INSERT INTO main.unihooks_bodies (event_id, webhook_id, body, warnings)"
_MappedBody = tuple[bytes, tuple[str, ...]]


def event_bodies(connection: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, bytes]:
    """Return the bodies of events, by tenant and id."""
    return {(row[0], row[1]): body for row, body in _read(connection, _EVENT_BODIES, keys)}


def mapped_bodies(connection: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, _MappedBody]:
    """Return mapped bodies and their warnings, by event and webhook id."""
    return {(row[0], row[1]): (body, tuple(row[3])) for row, body in _read(connection, _MAPPED_BODIES, keys)}


def keep_bodies(connection: sqlite3.Connection, bodies: Iterable[tuple[str, str, bytes, tuple[str, ...]]]) -> None:
    """Store mapped bodies (event id, webhook id, body, warnings); what is there already stays."""
    rows = [(event_id, webhook_id, body, as_json(warnings)) for event_id, webhook_id, body, warnings in bodies]
    with_values(connection, _INSERT, rows, "ON CONFLICT (event_id, webhook_id) DO NOTHING")


def _read(connection: sqlite3.Connection, statement: str, keys: Iterable[Key]) -> Iterable[tuple[list[Any], bytes]]:
    distinct = list(dict.fromkeys(keys))
    if not distinct:
        return
    texts, blob = connection.execute(statement, (as_json(distinct),)).fetchone()
    start = 0
    for row in json.loads(texts):
        end = start + row[2]
        yield row, blob[start:end]
        start = end
