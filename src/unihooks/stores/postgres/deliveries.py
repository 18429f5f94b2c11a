"""Make the rows of new deliveries."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unihooks.stores.postgres.statements import Row, Statements, keyed

_COLUMNS = (
    "tenant, id, event_id, webhook_id, endpoint_id, product, event_type, body_of, state, due_at, token, reason, "
    "replay_of, created_at, finished_at"
)
# Recovering a webhook may have planned an event for it already.
INSERT = f"""
INSERT INTO unihooks.deliveries ({_COLUMNS})
SELECT {_COLUMNS} FROM json_to_recordset(CAST(%(deliveries)s AS json)) AS r (
    tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text,
    body_of text, state text, due_at bigint, token bigint, reason text, replay_of text, created_at bigint,
    finished_at bigint
)
ON CONFLICT (event_id, endpoint_id, (CASE WHEN replay_of IS NULL THEN 1 END)) DO NOTHING RETURNING id
"""


def insert_deliveries(it: Statements, rows: Sequence[Row]) -> set[str]:
    """Insert rows made by `delivery_row`, but no second original; return the ids of those inserted."""
    return {row[0] for row in it.fetch(INSERT, **inserted(rows))} if rows else set()


def inserted(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what INSERT takes."""
    return {"deliveries": keyed(_COLUMNS, rows)}
