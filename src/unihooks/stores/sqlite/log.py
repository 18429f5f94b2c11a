"""Read the log, and cancel what it shows."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import sqlite3
from typing import Any

from unihooks._base.ids import first_id
from unihooks._base.times import SECOND
from unihooks._model.checks import not_found
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.refusals import not_pending

_DELIVERIES = """
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM main.unihooks_former_endpoints AS f WHERE f.id = d.endpoint_id), ''),
    d.state, coalesce(l.open, 1), d.attempt_count, d.created_at, d.due_at, d.reason, d.replay_of
FROM main.unihooks_deliveries AS d
LEFT JOIN main.unihooks_endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = :tenant
"""
# Without a look at the lanes, an index alone may do.
_COUNTED = "SELECT 1 FROM main.unihooks_deliveries AS d\nWHERE d.tenant = :tenant"
_COUNTED_UNHELD = """
SELECT 1 FROM main.unihooks_deliveries AS d
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = :tenant
"""
_COUNTED_WAITING = """
SELECT 1 FROM main.unihooks_lanes AS l
CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant AND d.tenant = :tenant
"""
_CANCEL = """
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason, finished_at = :now
WHERE tenant = :tenant AND id = :id AND state = 'pending'
"""

# What waits, or what is held, is found through the lanes: looking at all of a tenant would take longer.
_PENDING = """
SELECT p.id FROM main.unihooks_lanes AS w
CROSS JOIN main.unihooks_deliveries AS p INDEXED BY unihooks_deliveries_due
    ON p.endpoint_id = w.endpoint_id AND p.state = 'pending'
WHERE w.tenant = :tenant
"""
_HELD = f"{_PENDING} AND w.open = 0"
# Where a webhook has many deliveries, those of a rare event type are found by the type.
_OF_WEBHOOK = "SELECT 1 FROM main.unihooks_deliveries WHERE webhook_id = :webhook_id"
_OF_TYPE = """
SELECT 1 FROM main.unihooks_deliveries INDEXED BY unihooks_deliveries_by_type
WHERE tenant = :tenant AND event_type = :event_type
"""
_FEW_ENTRIES = 10_000
_FEW = 5_000
_DAY = 24 * 3600 * SECOND


def list_events(connection: sqlite3.Connection, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
    """Return events with payloads, newest first."""
    head = f"SELECT {_rows.EVENT_COLUMNS} FROM main.unihooks_events WHERE tenant = :tenant"
    conditions = {
        "id = :event_id": filters.event_id,
        "product = :product": filters.product,
        "event_type = :event_type": filters.event_type,
        "created_at >= :since": filters.since,
        "created_at < :until": filters.until,
        **_between("evt_", "id", filters.since, filters.until),
    }
    rows = _listed(connection, *_given(head, tenant, conditions), window, position="id")
    return [_rows.to_event(row) for row in rows]


def list_deliveries(
    connection: sqlite3.Connection, tenant: str, filters: DeliveryFilter, window: Window
) -> list[Delivery]:
    """Return deliveries, newest first."""
    rows = listed_deliveries(connection, _DELIVERIES, tenant, filters, window)
    return [_rows.to_delivery(row) for row in rows]


def count_deliveries(connection: sqlite3.Connection, tenant: str, filters: DeliveryFilter, most: int) -> int:
    """Count deliveries, at most so many."""
    if _waits(filters):
        statement, parameters = _given(
            _COUNTED_WAITING + _of(filters, "l"), tenant, _conditions(filters, filters.webhook_id)
        )
    else:
        head = _COUNTED if filters.held is None else _COUNTED_UNHELD
        statement, parameters = _narrowed(connection, head, tenant, filters)
    statement = f"SELECT count(*) FROM ({statement} LIMIT :limit)"
    return int(connection.execute(statement, parameters | {"limit": most}).fetchone()[0])


def listed_deliveries(
    connection: sqlite3.Connection, head: str, tenant: str, filters: DeliveryFilter, window: Window
) -> list[_rows.Row]:
    """Return what `head` selects of deliveries `d`, with their lanes `l`, newest first."""
    statement, parameters = _narrowed(connection, head, tenant, filters)
    return _listed(connection, statement, parameters, window, position="d.id")


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


def cancel(connection: sqlite3.Connection, tenant: str, delivery_id: str, reason: str, now: int) -> Delivery:
    """Cancel a pending delivery."""
    get_delivery(connection, tenant, delivery_id)
    parameters = {"tenant": tenant, "id": delivery_id, "reason": reason, "now": now}
    if connection.execute(_CANCEL, parameters).rowcount == 0:
        raise not_pending(get_delivery(connection, tenant, delivery_id))
    return get_delivery(connection, tenant, delivery_id)


def _narrowed(
    connection: sqlite3.Connection, head: str, tenant: str, filters: DeliveryFilter
) -> tuple[str, dict[str, Any]]:
    webhook_id = filters.webhook_id or _webhook_of(connection, filters)
    conditions = _conditions(filters, webhook_id)
    index = _index(connection, tenant, filters, webhook_id)
    if index is not None:
        head = head.replace("AS d\n", f"AS d INDEXED BY unihooks_deliveries_{index}\n")
    elif _waits(filters):
        conditions |= _waiting(connection, tenant, filters)
    if index != "by_type" and (webhook_id or filters.event_id):
        # The sign keeps SQLite from walking all of a tenant where an index of few rows will do.
        head = head.replace("d.tenant = :tenant", "+d.tenant = :tenant")
    return _given(head, tenant, conditions)


def _index(connection: sqlite3.Connection, tenant: str, filters: DeliveryFilter, webhook_id: str | None) -> str | None:
    """Return the index that SQLite, which keeps no statistics, would not choose by itself."""
    if filters.event_id or filters.delivery_id:
        return None
    if filters.state is DeliveryState.FAILED:
        return "failed_by_webhook" if webhook_id else "failed"
    if filters.event_type is None or _waits(filters):
        return None
    if webhook_id is None:
        return "by_type"
    wanted = {"tenant": tenant, "event_type": filters.event_type, "webhook_id": webhook_id}
    if _at_most(connection, _OF_WEBHOOK, wanted, _FEW) or not _at_most(connection, _OF_TYPE, wanted, _FEW_ENTRIES):
        return None
    return "by_type"


def _conditions(filters: DeliveryFilter, webhook_id: str | None) -> dict[str, Any]:
    return {
        "d.id = :delivery_id": filters.delivery_id,
        "d.webhook_id = :webhook_id": webhook_id,
        "d.endpoint_id = :endpoint_id": filters.endpoint_id,
        "d.event_id = :event_id": filters.event_id,
        "d.product = :product": filters.product,
        "d.event_type = :event_type": filters.event_type,
        # Not a parameter, so that SQLite knows which index holds such rows.
        f"d.state = '{filters.state}'": filters.state,
        "(d.state = 'pending' AND coalesce(l.open, 1) = 0) = :held": filters.held,
        "d.created_at >= :since": filters.since,
        "d.created_at < :until": filters.until,
        **_between("dlv_", "d.id", filters.since, filters.until),
    }


def _waits(filters: DeliveryFilter) -> bool:
    wanted = filters.held or filters.state is DeliveryState.PENDING
    return bool(wanted) and not (filters.event_id or filters.delivery_id)


def _webhook_of(connection: sqlite3.Connection, filters: DeliveryFilter) -> str | None:
    statement = "SELECT webhook_id FROM main.unihooks_endpoints WHERE id = ?"
    row = filters.endpoint_id and connection.execute(statement, (filters.endpoint_id,)).fetchone()
    return row[0] if row else None


def _waiting(connection: sqlite3.Connection, tenant: str, filters: DeliveryFilter) -> dict[str, bool]:
    found = (_HELD if filters.held else _PENDING) + _of(filters, "w")
    wanted = {"tenant": tenant, "webhook_id": filters.webhook_id, "endpoint_id": filters.endpoint_id}
    return {f"d.id IN ({found})": True} if _at_most(connection, found, wanted, _FEW) else {}


def _at_most(connection: sqlite3.Connection, statement: str, parameters: dict[str, Any], count: int) -> bool:
    counted = f"SELECT count(*) FROM ({statement} LIMIT :limit)"
    return bool(connection.execute(counted, parameters | {"limit": count + 1}).fetchone()[0] <= count)


def _of(filters: DeliveryFilter, lane: str) -> str:
    """Return the condition that leaves only the lanes of the wanted webhook or endpoint."""
    if filters.endpoint_id is not None:
        return f" AND {lane}.endpoint_id = :endpoint_id"
    if filters.webhook_id is not None:
        return f" AND {lane}.endpoint_id IN (SELECT id FROM main.unihooks_endpoints WHERE webhook_id = :webhook_id)"
    return ""


def _between(prefix: str, position: str, since: int | None, until: int | None) -> dict[str, str | None]:
    # Identifiers begin with their time; a day's allowance saves reading all that is older, or newer.
    return {
        f"{position} >= :first_id": None if since is None else first_id(prefix, since - _DAY),
        f"{position} < :last_id": None if until is None else first_id(prefix, until + _DAY),
    }


def _given(head: str, tenant: str, conditions: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    given = {text: value for text, value in conditions.items() if value is not None}
    parameters = {text.rpartition(":")[2]: value for text, value in given.items()}
    return " AND ".join([head, *given]), parameters | {"tenant": tenant}


def _listed(
    connection: sqlite3.Connection, statement: str, parameters: dict[str, Any], window: Window, *, position: str
) -> list[_rows.Row]:
    newest_first = window.newer_than is None
    if window.older_than is not None:
        statement += f" AND {position} < :older_than"
    if window.newer_than is not None:
        statement += f" AND {position} > :newer_than"
    statement += f" ORDER BY {position} {'DESC' if newest_first else 'ASC'} LIMIT :limit"
    edges = {"older_than": window.older_than, "newer_than": window.newer_than, "limit": window.limit}
    rows = connection.execute(statement, parameters | edges).fetchall()
    return rows if newest_first else rows[::-1]
