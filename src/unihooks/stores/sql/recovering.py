"""Plan for one webhook what it missed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from attrs import frozen

from unihooks._message.rendering import Rendering
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Webhook
from unihooks.abc import HELD_TOO_LONG
from unihooks.stores.sql.configuration import get_webhook, share_configuration
from unihooks.stores.sql.log import ids_between
from unihooks.stores.sql.replaying import failed_to_render, insert_due
from unihooks.stores.sql.transaction import Row, Transaction

_DELIVERIES_PER_CALL = 1_000


@frozen
class _Newest:
    """The newest delivery of an event to an endpoint."""

    id: str
    state: str
    reason: str | None
    rendering: str | None
    attempt_count: int

    @property
    def was_missed(self) -> bool:
        """Whether it failed or was held for too long."""
        held_too_long = self.state == DeliveryState.CANCELLED and self.reason == HELD_TOO_LONG
        return held_too_long or self.state == DeliveryState.FAILED


def recover(
    tx: Transaction, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int, most: int
) -> tuple[int, str | None]:
    """Plan what the webhook missed of the next `limit` events; return how many deliveries and where to go on."""
    share_configuration(tx, [tenant])
    webhook = get_webhook(tx, tenant, webhook_id)
    # However many endpoints there are, a call holds up others for no longer than it takes to plan so many deliveries.
    most = min(most, _DELIVERIES_PER_CALL)
    limit = max(1, min(limit, _DELIVERIES_PER_CALL // len(webhook.endpoints)))
    events = tx.fetch(
        "events_to_recover",
        kinds=[f"{item.product} {item.event_type}" for item in webhook.subscriptions],
        tenant=tenant,
        after=max(after, ids_between("evt_", since, until)[0] or ""),
        since=since,
        until=until,
        limit=limit,
    )
    missed = list(islice(_missed(tx, webhook, events), most + 1))
    made = len(insert_due(tx, tenant, missed[:most]))
    if len(missed) > most:
        # The next call finds what this one has made of the first event that is not done with.
        return made, max((event_id for event_id, *_ in events if event_id < missed[most][0]), default=after)
    return made, events[-1][0] if len(events) == limit else None


def _missed(tx: Transaction, webhook: Webhook, events: list[Row]) -> Iterator[Row]:
    """Yield what `insert_due` takes for each delivery that is missing of these events."""
    rendering = Rendering.of(webhook.mapping)
    today = rendering and rendering.id
    newest = _newest(tx, webhook.id, [event_id for event_id, *_ in events])
    for event_id, product, event_type in events:
        for endpoint_id in (item.id for item in webhook.endpoints if item.enabled):
            to = (event_id, webhook.id, endpoint_id, product, event_type)
            last = newest.get((event_id, endpoint_id))
            if last is None:
                yield (*to, today, None)
            elif last.was_missed and not failed_to_render(last.state, last.attempt_count):
                yield (*to, last.rendering, last.id)
            elif last.was_missed and last.rendering != today:
                # A rendering that failed would fail again, and add nothing to the log.
                yield (*to, today, last.id)


def _newest(tx: Transaction, webhook_id: str, event_ids: list[str]) -> dict[tuple[str, str], _Newest]:
    rows = tx.fetch("deliveries_of_events", events=event_ids, webhook_id=webhook_id) if event_ids else []
    # They come oldest first.
    return {(event_id, endpoint_id): _Newest(*delivery) for event_id, endpoint_id, *delivery in rows}
