"""Read the log, and cancel what it shows."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from typing import Any

from unihooks._base.ids import first_id
from unihooks._base.times import SECOND
from unihooks._model.checks import not_found
from unihooks._model.log import Attempt, Delivery, Event
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.stores.postgres.statements import Statements
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.refusals import not_pending

_DELIVERIES = """
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM unihooks.former_endpoints AS f WHERE f.id = d.endpoint_id), ''),
    d.state, coalesce(l.open, true), d.attempt_count, d.created_at, d.due_at, d.reason, d.replay_of
FROM unihooks.deliveries AS d
LEFT JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = %(tenant)s
"""
_COUNTED = """
SELECT 1 FROM unihooks.deliveries AS d LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = %(tenant)s
"""
_CANCEL = """
UPDATE unihooks.deliveries SET state = 'cancelled', reason = %(reason)s, finished_at = %(now)s
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'pending'
"""
_DAY = 24 * 3600 * SECOND
_Condition = tuple[str, Any]


def list_events(it: Statements, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
    """Return events with payloads, newest first."""
    head = f"SELECT {_rows.EVENT_COLUMNS} FROM unihooks.events WHERE tenant = %(tenant)s"
    conditions: dict[str, _Condition] = {
        "product": ("product = %(product)s", filters.product),
        "event_type": ("event_type = %(event_type)s", filters.event_type),
        "since": ("created_at >= %(since)s", filters.since),
        "until": ("created_at < %(until)s", filters.until),
        "event_id": ("id = %(event_id)s", filters.event_id),
        **_between("evt_", "id", filters.since, filters.until),
    }
    return [_rows.to_event(row) for row in _listed(it, *_given(head, tenant, conditions), window, position="id")]


def list_deliveries(it: Statements, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
    """Return deliveries, newest first."""
    return [_rows.to_delivery(row) for row in listed_deliveries(it, _DELIVERIES, tenant, filters, window)]


def count_deliveries(it: Statements, tenant: str, filters: DeliveryFilter, most: int) -> int:
    """Count deliveries, at most so many."""
    statement, values = _narrowed(it, _COUNTED, tenant, filters)
    return int(it.fetch(f"SELECT count(*) FROM ({statement} LIMIT %(limit)s) AS found", limit=most, **values)[0][0])


def listed_deliveries(
    it: Statements, head: str, tenant: str, filters: DeliveryFilter, window: Window, *, lock: str = ""
) -> list[_rows.Row]:
    """Return what `head` selects of deliveries `d`, with their lanes `l`, newest first."""
    return _listed(it, *_narrowed(it, head, tenant, filters), window, position="d.id", lock=lock)


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


def cancel(it: Statements, tenant: str, delivery_id: str, reason: str) -> Delivery:
    """Cancel a pending delivery."""
    get_delivery(it, tenant, delivery_id)
    if it.run(_CANCEL, tenant=tenant, id=delivery_id, reason=reason, now=it.now) == 0:
        raise not_pending(get_delivery(it, tenant, delivery_id))
    return get_delivery(it, tenant, delivery_id)


def _narrowed(it: Statements, head: str, tenant: str, filters: DeliveryFilter) -> tuple[str, dict[str, Any]]:
    # Said so plainly, the server starts at the few lanes that are closed.
    held = "d.state = 'pending' AND NOT l.open" if filters.held else "(d.state <> 'pending' OR coalesce(l.open, true))"
    conditions: dict[str, _Condition] = {
        "delivery_id": ("d.id = %(delivery_id)s", filters.delivery_id),
        "webhook_id": ("d.webhook_id = %(webhook_id)s", filters.webhook_id or _webhook_of(it, filters)),
        "endpoint_id": ("d.endpoint_id = %(endpoint_id)s", filters.endpoint_id),
        "event_id": ("d.event_id = %(event_id)s", filters.event_id),
        "product": ("d.product = %(product)s", filters.product),
        "event_type": ("d.event_type = %(event_type)s", filters.event_type),
        # Not a parameter, so that the server knows which index holds such rows, whatever plan it keeps.
        "state": (f"d.state = '{filters.state}'", filters.state),
        "held": (held, filters.held),
        "since": ("d.created_at >= %(since)s", filters.since),
        "until": ("d.created_at < %(until)s", filters.until),
        **_between("dlv_", "d.id", filters.since, filters.until),
    }
    return _given(head, tenant, conditions)


def _webhook_of(it: Statements, filters: DeliveryFilter) -> str | None:
    if filters.endpoint_id is None:
        return None
    row = it.fetch_one("SELECT webhook_id FROM unihooks.endpoints WHERE id = %(id)s", id=filters.endpoint_id)
    return row[0] if row else None


def _between(prefix: str, position: str, since: int | None, until: int | None) -> dict[str, _Condition]:
    # Identifiers begin with their time; a day's allowance saves reading all that is older, or newer.
    return {
        "first_id": (f"{position} >= %(first_id)s", None if since is None else first_id(prefix, since - _DAY)),
        "last_id": (f"{position} < %(last_id)s", None if until is None else first_id(prefix, until + _DAY)),
    }


def _given(head: str, tenant: str, conditions: dict[str, _Condition]) -> tuple[str, dict[str, Any]]:
    given = {name: pair for name, pair in conditions.items() if pair[1] is not None}
    values = {name: value for name, (_, value) in given.items()}
    return " AND ".join([head, *[text for text, _ in given.values()]]), values | {"tenant": tenant}


def _listed(
    it: Statements, statement: str, values: dict[str, Any], window: Window, *, position: str, lock: str = ""
) -> list[_rows.Row]:
    newest_first = window.newer_than is None
    edges = {
        "older_than": (f"{position} < %(older_than)s", window.older_than),
        "newer_than": (f"{position} > %(newer_than)s", window.newer_than),
    }
    given = {name: pair for name, pair in edges.items() if pair[1] is not None}
    narrowed = " AND ".join([statement, *[text for text, _ in given.values()]])
    order = f"ORDER BY {position} {'DESC' if newest_first else 'ASC'} LIMIT %(limit)s {lock}"
    values = values | {name: value for name, (_, value) in given.items()}
    rows = it.fetch(f"{narrowed} {order}", limit=window.limit, **values)
    return rows if newest_first else rows[::-1]
