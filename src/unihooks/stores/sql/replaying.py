"""Send events again: what one delivery sent, or all that a filter shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter

from attrs import frozen

from unihooks._base.ids import new_ids
from unihooks._message.rendering import Rendering
from unihooks._model.checks import not_found
from unihooks._model.log import Delivery, DeliveryState
from unihooks.abc import ERASED, DeliveryFilter, Window
from unihooks.exceptions import Conflict
from unihooks.stores.sql import deliveries
from unihooks.stores.sql.claiming import lower_next_due
from unihooks.stores.sql.configuration import share_configuration
from unihooks.stores.sql.log import get_delivery, list_delivery_ids
from unihooks.stores.sql.transaction import Row, Transaction


@frozen
class _Original:
    """A delivery that is to be sent again, if it can be; `size` is that of its event's body.

    `was_replayed` says that a replay of the same event to the same endpoint is pending, or has been delivered.
    """

    id: str
    event_id: str
    webhook_id: str
    endpoint_id: str
    product: str
    event_type: str
    rendering: str | None
    state: str
    attempt_count: int
    has_endpoint: bool
    was_replayed: bool
    size: int

    def check(self) -> None:
        """Raise Conflict if its body or endpoint is not there any more, or never was."""
        if not self.size:
            raise Conflict(f"{ERASED}; there is nothing to send", name="event_id")
        if not self.has_endpoint:
            raise Conflict("the endpoint of this delivery is gone; there is nowhere to send it", name="endpoint_id")
        if not self._was_rendered:
            sentence = "the payload mapping failed, so there is no body; correct it and recover"
            raise Conflict(sentence, name="delivery_id")

    @property
    def is_worthwhile(self) -> bool:
        """Whether it can be sent again, and is not sent without."""
        can_be_sent = bool(self.has_endpoint and self.size and self._was_rendered)
        return can_be_sent and not self.was_replayed and self.state != DeliveryState.PENDING

    @property
    def _was_rendered(self) -> bool:
        return not failed_to_render(self.state, self.attempt_count)

    def again(self) -> Row:
        """Return what `insert_due` takes to send the same bytes."""
        event = (self.event_id, self.webhook_id, self.endpoint_id, self.product, self.event_type)
        return (*event, self.rendering, self.id)


def delivery_source(tx: Transaction, tenant: str, delivery_id: str) -> tuple[bytes, Rendering | None]:
    """Return the body of the delivery's event, empty if it was erased, and the rendering that it is sent with."""
    found = tx.fetch_one("delivery_source", tenant=tenant, id=delivery_id)
    if found is None:
        raise not_found("delivery", delivery_id, tenant)
    rendering, definition, body = found
    return bytes(body), None if rendering is None else Rendering.from_definition(definition)


def replay(tx: Transaction, tenant: str, delivery_id: str) -> Delivery:
    """Make a new delivery with the rendering of this one."""
    share_configuration(tx, [tenant])
    originals = _originals(tx, tenant, [delivery_id])
    if not originals:
        raise not_found("delivery", delivery_id, tenant)
    originals[0].check()
    [new] = insert_due(tx, tenant, [originals[0].again()])
    return get_delivery(tx, tenant, new)


def replay_many(
    tx: Transaction, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int, most: int
) -> tuple[int, str | None]:
    """Replay up to `most` of `limit` deliveries after one id and up to another; return how many, and where to go on."""
    share_configuration(tx, [tenant])
    newest_first = list_delivery_ids(tx, tenant, filters, Window(limit=limit, newer_than=after))
    ids = [id_ for id_ in reversed(newest_first) if id_ <= last]
    worthwhile = (one for one in _originals(tx, tenant, ids) if one.is_worthwhile)
    # The newest of each event and endpoint, since all of them would send the same bytes.
    chosen = sorted({(one.event_id, one.endpoint_id): one for one in worthwhile}.values(), key=attrgetter("id"))
    made = len(insert_due(tx, tenant, [one.again() for one in chosen[:most]]))
    if len(chosen) > most:
        return made, chosen[most - 1].id if most else after
    return made, ids[-1] if len(ids) == limit else None


def insert_due(tx: Transaction, tenant: str, rows: Sequence[Row]) -> Collection[str]:
    """Insert deliveries that are due now, but no second original; return the ids of those inserted.

    Rows hold event id, webhook id, endpoint id, product, event type, rendering and replay_of.
    """
    ids = new_ids("dlv_", tx.now, len(rows))
    new = [
        (tenant, id_, *event, rendering, "pending", tx.now, None, None, replay_of, tx.now)
        for id_, (*event, rendering, replay_of) in zip(ids, rows, strict=True)
    ]
    inserted = deliveries.insert(tx, new)
    lower_next_due(tx, {endpoint_id: tx.now for _, _, endpoint_id, *_ in rows})
    return inserted


def failed_to_render(state: str, attempt_count: int) -> bool:
    """Whether nothing was ever sent of a delivery, because its rendering failed."""
    return state == DeliveryState.FAILED and attempt_count == 0


def _originals(tx: Transaction, tenant: str, ids: Sequence[str]) -> list[_Original]:
    """Return deliveries, oldest first; their events stay for as long as this transaction lasts."""
    return [_Original(*row) for row in tx.fetch("deliveries_to_replay", tenant=tenant, ids=ids)] if ids else []
