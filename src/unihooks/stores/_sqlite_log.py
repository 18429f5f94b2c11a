"""Read the log, and act on what it shows: replay, cancel, recover."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from unihooks._ids import new_id
from unihooks._models import Attempt, Delivery, Event, not_found
from unihooks._planning import NewEvent, PlannedBody
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.stores import _rows
from unihooks.stores._refusals import check_replayable, not_pending
from unihooks.stores._sqlite_claims import lower_next_due
from unihooks.stores._sqlite_plans import delivery_row, insert_deliveries

_DELIVERIES = """
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM main.unihooks_former_endpoints AS f WHERE f.id = d.endpoint_id), ''),
    d.state, coalesce(l.open, 1), d.attempt_count, d.created_at, d.due_at, d.reason, d.replay_of
FROM main.unihooks_deliveries AS d
LEFT JOIN main.unihooks_endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = :tenant
"""
# The sign keeps SQLite from walking all of a tenant where an index of few rows will do.
_DELIVERIES_OF_ONE = _DELIVERIES.replace("d.tenant = :tenant", "+d.tenant = :tenant")
_REPLAYED = """
SELECT d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.body_of, length(e.body)
FROM main.unihooks_deliveries AS d JOIN main.unihooks_events AS e ON e.tenant = d.tenant AND e.id = d.event_id
WHERE d.tenant = ? AND d.id = ?
"""
_CANCEL = """
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason, token = NULL, finished_at = :now
WHERE tenant = :tenant AND id = :id AND state = 'pending'
"""


def list_events(connection: sqlite3.Connection, tenant: str, narrow: EventFilter, window: Window) -> list[Event]:
    """Return events with payloads, newest first."""
    head = f"SELECT {_rows.EVENT_COLUMNS} FROM main.unihooks_events WHERE tenant = :tenant"
    conditions = {
        "id = :event_id": narrow.event_id,
        "product = :product": narrow.product,
        "event_type = :event_type": narrow.event_type,
        "created_at >= :since": narrow.since,
        "created_at < :until": narrow.until,
    }
    rows = _listed(connection, head, tenant, conditions, window, position="id")
    return [_rows.to_event(row) for row in rows]


def list_deliveries(
    connection: sqlite3.Connection, tenant: str, narrow: DeliveryFilter, window: Window
) -> list[Delivery]:
    """Return deliveries, newest first."""
    conditions = {
        "d.id = :delivery_id": narrow.delivery_id,
        "d.webhook_id = :webhook_id": narrow.webhook_id,
        "d.endpoint_id = :endpoint_id": narrow.endpoint_id,
        "d.event_id = :event_id": narrow.event_id,
        "d.product = :product": narrow.product,
        "d.event_type = :event_type": narrow.event_type,
        "d.state = :state": narrow.state and narrow.state.value,
        "(d.state = 'pending' AND coalesce(l.open, 1) = 0) = :held": narrow.held,
        "d.created_at >= :since": narrow.since,
        "d.created_at < :until": narrow.until,
    }
    head = _DELIVERIES_OF_ONE if narrow.webhook_id or narrow.event_id else _DELIVERIES
    rows = _listed(connection, head, tenant, conditions, window, position="d.id")
    return [_rows.to_delivery(row) for row in rows]


def list_attempts(connection: sqlite3.Connection, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
    """Return attempts of a delivery, newest first."""
    get_delivery(connection, tenant, delivery_id)
    newest_first = window.newer_than is None
    statement = f"""
    SELECT {_rows.ATTEMPT_COLUMNS} FROM main.unihooks_attempts
    WHERE delivery_id = :delivery AND (:older IS NULL OR number < CAST(:older AS INTEGER))
      AND (:newer IS NULL OR number > CAST(:newer AS INTEGER))
    ORDER BY number {"DESC" if newest_first else "ASC"} LIMIT :limit
    """
    parameters = {
        "delivery": delivery_id,
        "older": window.older_than,
        "newer": window.newer_than,
        "limit": window.limit,
    }
    rows = connection.execute(statement, parameters).fetchall()
    return [_rows.to_attempt(row) for row in (rows if newest_first else reversed(rows))]


def get_delivery(connection: sqlite3.Connection, tenant: str, delivery_id: str) -> Delivery:
    """Return the delivery or raise NotFound."""
    parameters = {"tenant": tenant, "id": delivery_id}
    row = connection.execute(f"{_DELIVERIES} AND d.id = :id", parameters).fetchone()
    if row is None:
        raise not_found("delivery", delivery_id, tenant)
    return _rows.to_delivery(row)


def replay(connection: sqlite3.Connection, tenant: str, delivery_id: str, now: int) -> Delivery:
    """Make a new delivery with the stored body of this one."""
    row = connection.execute(_REPLAYED, (tenant, delivery_id)).fetchone()
    if row is None:
        raise not_found("delivery", delivery_id, tenant)
    event_id, webhook_id, endpoint_id, product, event_type, body_of, size = row
    there = _exists(connection, endpoint_id)
    check_replayable(is_erased=size == 0, has_endpoint=there, has_body=body_of != "none")
    event = NewEvent(event_id, tenant, product, event_type, b"", now)
    body = PlannedBody(webhook_id, (endpoint_id,), b"" if body_of == "webhook" else None)
    new = new_id("dlv_", now)
    insert_deliveries(connection, [delivery_row(event, body, endpoint_id, new, now, replay_of=delivery_id)])
    lower_next_due(connection, {endpoint_id: now})
    return get_delivery(connection, tenant, new)


def cancel(connection: sqlite3.Connection, tenant: str, delivery_id: str, reason: str, now: int) -> Delivery:
    """Cancel a pending delivery."""
    get_delivery(connection, tenant, delivery_id)
    parameters = {"tenant": tenant, "id": delivery_id, "reason": reason, "now": now}
    if connection.execute(_CANCEL, parameters).rowcount == 0:
        raise not_pending(get_delivery(connection, tenant, delivery_id))
    return get_delivery(connection, tenant, delivery_id)


def _exists(connection: sqlite3.Connection, endpoint_id: str) -> bool:
    statement = "SELECT 1 FROM main.unihooks_endpoints WHERE id = ?"
    return connection.execute(statement, (endpoint_id,)).fetchone() is not None


def _listed(
    connection: sqlite3.Connection,
    head: str,
    tenant: str,
    conditions: dict[str, Any],
    window: Window,
    *,
    position: str,
) -> Iterable[_rows.Row]:
    newest_first = window.newer_than is None
    given = {
        **conditions,
        f"{position} < :older_than": window.older_than,
        f"{position} > :newer_than": window.newer_than,
    }
    given = {text: value for text, value in given.items() if value is not None}
    parameters = {text.rpartition(":")[2]: value for text, value in given.items()}
    order = "DESC" if newest_first else "ASC"
    statement = " AND ".join([head, *given]) + f" ORDER BY {position} {order} LIMIT :limit"
    rows = connection.execute(statement, parameters | {"tenant": tenant, "limit": window.limit}).fetchall()
    return rows if newest_first else reversed(rows)
