"""Send stored bodies again: one delivery, or all that a filter shows."""

from __future__ import annotations

from typing import Any

from unihooks._base.ids import new_id
from unihooks._model.checks import not_found
from unihooks._model.log import Delivery
from unihooks.abc import DeliveryFilter, Window
from unihooks.stores.postgres.bodies import event_bodies, mapped_bodies
from unihooks.stores.postgres.claims import lower_next_due
from unihooks.stores.postgres.config import plan_along
from unihooks.stores.postgres.deliveries import insert_deliveries
from unihooks.stores.postgres.log import get_delivery, listed_deliveries
from unihooks.stores.postgres.statements import Statements
from unihooks.stores.sql.replayed import Replayed
from unihooks.stores.sql.rows import delivery_row

# The event stays for as long as this transaction lasts, so that it is not pruned from under its new delivery.
_LOCK = "FOR KEY SHARE OF v"
_REPLAYED = """
SELECT d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.body_of, d.state, e.id IS NOT NULL,
    octet_length(v.body)
FROM unihooks.deliveries AS d
JOIN unihooks.events AS v ON v.tenant = d.tenant AND v.id = d.event_id
LEFT JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = %(tenant)s
"""


def body(it: Statements, tenant: str, delivery_id: str) -> bytes:
    """Return what the delivery sends; empty if there is nothing."""
    found = _replayed(it, tenant, delivery_id)
    if found.body_of == "event":
        return event_bodies(it, [(tenant, found.event_id)]).get((tenant, found.event_id), b"")
    if found.body_of == "none":
        return b""
    key = (found.event_id, found.webhook_id)
    return mapped_bodies(it, [key]).get(key, (b"", ""))[0]


def replay(it: Statements, tenant: str, delivery_id: str) -> Delivery:
    """Make a new delivery with the stored body of this one."""
    plan_along(it, [tenant])
    found = _replayed(it, tenant, delivery_id, lock=_LOCK)
    found.check()
    new = new_id("dlv_", it.now)
    insert_deliveries(it, [_row(found, tenant, new, it.now)])
    lower_next_due(it, {found.endpoint_id: it.now})
    return get_delivery(it, tenant, new)


def replay_many(
    it: Statements, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
) -> tuple[int, str | None]:
    """Replay up to `limit` deliveries after one id and up to another; return how many, and where to go on."""
    plan_along(it, [tenant])
    window = Window(limit=limit, newer_than=after)
    rows = listed_deliveries(it, _REPLAYED, tenant, filters, window, lock=_LOCK)
    found = [Replayed(*row) for row in reversed(rows) if row[0] <= last]
    chosen = [one for one in found if one.worthwhile]
    insert_deliveries(it, [_row(one, tenant, new_id("dlv_", it.now), it.now) for one in chosen])
    lower_next_due(it, {one.endpoint_id: it.now for one in chosen})
    return len(chosen), found[-1].id if len(found) == limit else None


def _replayed(it: Statements, tenant: str, delivery_id: str, *, lock: str = "") -> Replayed:
    filters = DeliveryFilter(delivery_id=delivery_id)
    rows = listed_deliveries(it, _REPLAYED, tenant, filters, Window(limit=1), lock=lock)
    if not rows:
        raise not_found("delivery", delivery_id, tenant)
    return Replayed(*rows[0])


def _row(one: Replayed, tenant: str, id_: str, now: int) -> tuple[Any, ...]:
    return delivery_row(one.event(tenant, now), one.planned(), one.endpoint_id, id_, now, replay_of=one.id)
