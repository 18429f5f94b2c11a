"""Read the log, and act on what it shows: replay, cancel."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from typing import Any

from unihooks._ids import new_id
from unihooks._models import Attempt, Delivery, Event, not_found
from unihooks._planning import NewEvent, PlannedBody
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.stores import _rows
from unihooks.stores._postgres_claims import lower_next_due
from unihooks.stores._postgres_config import plan_along
from unihooks.stores._postgres_deliveries import delivery_row, insert_deliveries
from unihooks.stores._postgres_statements import Statements
from unihooks.stores._refusals import check_replayable, not_pending

_DELIVERIES = """
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM unihooks.former_endpoints AS f WHERE f.id = d.endpoint_id), ''),
    d.state, coalesce(l.open, true), d.attempt_count, d.created_at, d.due_at, d.reason, d.replay_of
FROM unihooks.deliveries AS d
LEFT JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = %(tenant)s
"""
# The event stays for as long as this transaction lasts, so that it is not pruned from under its new delivery.
_REPLAYED = """
SELECT d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.body_of, octet_length(e.body)
FROM unihooks.deliveries AS d JOIN unihooks.events AS e ON e.tenant = d.tenant AND e.id = d.event_id
WHERE d.tenant = %(tenant)s AND d.id = %(id)s FOR KEY SHARE OF e
"""
_CANCEL = """
UPDATE unihooks.deliveries SET state = 'cancelled', reason = %(reason)s, token = NULL, finished_at = %(now)s
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'pending'
"""
_Condition = tuple[str, Any]


def list_events(it: Statements, tenant: str, narrow: EventFilter, window: Window) -> list[Event]:
    """Return events with payloads, newest first."""
    head = f"SELECT {_rows.EVENT_COLUMNS} FROM unihooks.events WHERE tenant = %(tenant)s"
    conditions: dict[str, _Condition] = {
        "product": ("product = %(product)s", narrow.product),
        "event_type": ("event_type = %(event_type)s", narrow.event_type),
        "since": ("created_at >= %(since)s", narrow.since),
        "until": ("created_at < %(until)s", narrow.until),
        "event_id": ("id = %(event_id)s", narrow.event_id),
    }
    return [_rows.to_event(row) for row in _listed(it, head, tenant, conditions, window, position="id")]


def list_deliveries(it: Statements, tenant: str, narrow: DeliveryFilter, window: Window) -> list[Delivery]:
    """Return deliveries, newest first."""
    held = "(d.state = 'pending' AND NOT coalesce(l.open, true)) = %(held)s"
    conditions: dict[str, _Condition] = {
        "delivery_id": ("d.id = %(delivery_id)s", narrow.delivery_id),
        "webhook_id": ("d.webhook_id = %(webhook_id)s", narrow.webhook_id),
        "endpoint_id": ("d.endpoint_id = %(endpoint_id)s", narrow.endpoint_id),
        "event_id": ("d.event_id = %(event_id)s", narrow.event_id),
        "product": ("d.product = %(product)s", narrow.product),
        "event_type": ("d.event_type = %(event_type)s", narrow.event_type),
        "state": ("d.state = %(state)s", narrow.state and narrow.state.value),
        "held": (held, narrow.held),
        "since": ("d.created_at >= %(since)s", narrow.since),
        "until": ("d.created_at < %(until)s", narrow.until),
    }
    return [_rows.to_delivery(row) for row in _listed(it, _DELIVERIES, tenant, conditions, window, position="d.id")]


def list_attempts(it: Statements, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
    """Return attempts of a delivery, newest first."""
    get_delivery(it, tenant, delivery_id)
    newest_first = window.newer_than is None
    statement = f"""
    SELECT {_rows.ATTEMPT_COLUMNS} FROM unihooks.attempts
    WHERE delivery_id = %(delivery)s
      AND (%(older)s::text IS NULL OR number < CAST(%(older)s AS integer))
      AND (%(newer)s::text IS NULL OR number > CAST(%(newer)s AS integer))
    ORDER BY number {"DESC" if newest_first else "ASC"} LIMIT %(limit)s
    """
    rows = it.fetch(
        statement, delivery=delivery_id, older=window.older_than, newer=window.newer_than, limit=window.limit
    )
    return [_rows.to_attempt(row) for row in (rows if newest_first else rows[::-1])]


def get_delivery(it: Statements, tenant: str, delivery_id: str) -> Delivery:
    """Return the delivery or raise NotFound."""
    row = it.fetch_one(f"{_DELIVERIES} AND d.id = %(id)s", tenant=tenant, id=delivery_id)
    if row is None:
        raise not_found("delivery", delivery_id, tenant)
    return _rows.to_delivery(row)


def replay(it: Statements, tenant: str, delivery_id: str) -> Delivery:
    """Make a new delivery with the stored body of this one."""
    plan_along(it, [tenant])
    row = it.fetch_one(_REPLAYED, tenant=tenant, id=delivery_id)
    if row is None:
        raise not_found("delivery", delivery_id, tenant)
    event_id, webhook_id, endpoint_id, product, event_type, body_of, size = row
    there = bool(it.fetch("SELECT 1 FROM unihooks.endpoints WHERE id = %(id)s", id=endpoint_id))
    check_replayable(is_erased=size == 0, has_endpoint=there, has_body=body_of != "none")
    event = NewEvent(event_id, tenant, product, event_type, b"", it.now)
    body = PlannedBody(webhook_id, (endpoint_id,), b"" if body_of == "webhook" else None)
    new = new_id("dlv_", it.now)
    insert_deliveries(it, [delivery_row(event, body, endpoint_id, new, it.now, replay_of=delivery_id)])
    lower_next_due(it, {endpoint_id: it.now})
    return get_delivery(it, tenant, new)


def cancel(it: Statements, tenant: str, delivery_id: str, reason: str) -> Delivery:
    """Cancel a pending delivery."""
    get_delivery(it, tenant, delivery_id)
    if it.run(_CANCEL, tenant=tenant, id=delivery_id, reason=reason, now=it.now) == 0:
        raise not_pending(get_delivery(it, tenant, delivery_id))
    return get_delivery(it, tenant, delivery_id)


def _listed(
    it: Statements, head: str, tenant: str, conditions: dict[str, _Condition], window: Window, *, position: str
) -> list[_rows.Row]:
    newest_first = window.newer_than is None
    edges = {
        "older_than": (f"{position} < %(older_than)s", window.older_than),
        "newer_than": (f"{position} > %(newer_than)s", window.newer_than),
    }
    given = {name: pair for name, pair in (conditions | edges).items() if pair[1] is not None}
    narrowed = " AND ".join([head, *[text for text, _ in given.values()]])
    statement = f"{narrowed} ORDER BY {position} {'DESC' if newest_first else 'ASC'} LIMIT %(limit)s"
    values = {name: value for name, (_, value) in given.items()}
    rows = it.fetch(statement, tenant=tenant, limit=window.limit, **values)
    return rows if newest_first else rows[::-1]
