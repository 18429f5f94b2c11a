"""Send stored bodies again: one delivery, or all that a filter shows."""

from __future__ import annotations

import sqlite3
from typing import Any

from unihooks._base.ids import new_id
from unihooks._model.checks import not_found
from unihooks._model.log import Delivery
from unihooks.abc import DeliveryFilter, Window
from unihooks.stores.sql.replayed import Replayed
from unihooks.stores.sql.rows import delivery_row
from unihooks.stores.sqlite.bodies import event_bodies, mapped_bodies
from unihooks.stores.sqlite.claims import lower_next_due
from unihooks.stores.sqlite.deliveries import insert_deliveries
from unihooks.stores.sqlite.log import get_delivery, listed_deliveries

_REPLAYED = """
SELECT d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.body_of, d.state, e.id IS NOT NULL,
    coalesce((SELECT length(v.body) FROM main.unihooks_events AS v WHERE v.tenant = d.tenant AND v.id = d.event_id), 0)
FROM main.unihooks_deliveries AS d
LEFT JOIN main.unihooks_endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = :tenant
"""


def body(connection: sqlite3.Connection, tenant: str, delivery_id: str) -> bytes:
    """Return what the delivery sends; empty if there is nothing."""
    found = _replayed(connection, tenant, delivery_id)
    if found.body_of == "event":
        return event_bodies(connection, [(tenant, found.event_id)]).get((tenant, found.event_id), b"")
    if found.body_of == "none":
        return b""
    key = (found.event_id, found.webhook_id)
    return mapped_bodies(connection, [key]).get(key, (b"", ()))[0]


def replay(connection: sqlite3.Connection, tenant: str, delivery_id: str, now: int) -> Delivery:
    """Make a new delivery with the stored body of this one."""
    found = _replayed(connection, tenant, delivery_id)
    found.check()
    new = new_id("dlv_", now)
    insert_deliveries(connection, [_row(found, tenant, new, now)])
    lower_next_due(connection, {found.endpoint_id: now})
    return get_delivery(connection, tenant, new)


def replay_many(
    connection: sqlite3.Connection, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int, now: int
) -> tuple[int, str | None]:
    """Replay up to `limit` deliveries after one id and up to another; return how many, and where to go on."""
    window = Window(limit=limit, newer_than=after)
    rows = listed_deliveries(connection, _REPLAYED, tenant, filters, window)
    found = [Replayed(*row) for row in reversed(rows) if row[0] <= last]
    chosen = [one for one in found if one.worthwhile]
    insert_deliveries(connection, [_row(one, tenant, new_id("dlv_", now), now) for one in chosen])
    lower_next_due(connection, {one.endpoint_id: now for one in chosen})
    return len(chosen), found[-1].id if len(found) == limit else None


def _replayed(connection: sqlite3.Connection, tenant: str, delivery_id: str) -> Replayed:
    rows = listed_deliveries(connection, _REPLAYED, tenant, DeliveryFilter(delivery_id=delivery_id), Window(limit=1))
    if not rows:
        raise not_found("delivery", delivery_id, tenant)
    return Replayed(*rows[0])


def _row(one: Replayed, tenant: str, id_: str, now: int) -> tuple[Any, ...]:
    return delivery_row(one.event(tenant, now), one.planned(), one.endpoint_id, id_, now, replay_of=one.id)
