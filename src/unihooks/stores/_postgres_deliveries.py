"""Make the rows of new deliveries."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unihooks._planning import NewEvent, PlannedBody
from unihooks.stores._postgres_statements import Row, Statements, keyed

_COLUMNS = (
    "tenant, id, event_id, webhook_id, endpoint_id, product, event_type, body_of, state, due_at, token, reason, "
    "replay_of, created_at, finished_at"
)
# Recovering a webhook may have planned an event for it already.
_INSERT = f"""
INSERT INTO unihooks.deliveries ({_COLUMNS})
SELECT {_COLUMNS} FROM json_to_recordset(CAST(%(rows)s AS json)) AS r (
    tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text,
    body_of text, state text, due_at bigint, token bigint, reason text, replay_of text, created_at bigint,
    finished_at bigint
)
ON CONFLICT (event_id, endpoint_id, (CASE WHEN replay_of IS NULL THEN 1 END)) DO NOTHING RETURNING id
"""


def insert_deliveries(it: Statements, rows: Sequence[Row]) -> set[str]:
    """Insert rows made by `delivery_row`, but no second original; return the ids of those inserted."""
    return {row[0] for row in it.fetch(_INSERT, rows=keyed(_COLUMNS, rows))} if rows else set()


def delivery_row(
    event: NewEvent,
    body: PlannedBody,
    endpoint_id: str,
    id_: str,
    now: int,
    *,
    due_at: int | None = None,
    token: int | None = None,
    replay_of: str | None = None,
) -> tuple[Any, ...]:
    """Return the row of a new delivery: pending, or failed when its body could not be made."""
    failed = body.failure is not None
    return (
        event.tenant,
        id_,
        event.id,
        body.webhook_id,
        endpoint_id,
        event.product,
        event.event_type,
        "none" if failed else "event" if body.body is None else "webhook",
        "failed" if failed else "pending",
        now if due_at is None else due_at,
        token,
        body.failure,
        replay_of,
        now,
        now if failed else None,
    )
