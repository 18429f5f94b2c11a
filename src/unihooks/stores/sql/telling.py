"""Tell tenants what happens to their webhooks: operational events, in the transaction of what they report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unihooks._base.ids import new_ids
from unihooks._base.times import from_us, to_us
from unihooks._contract.planning import NewEvent
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.operational_events import (
    DELIVERY_FAILED,
    ENDPOINT_DISABLED,
    ENDPOINT_FAILING,
    ENDPOINT_RECOVERED,
    PRODUCT,
    OperationalEvent,
    Place,
    created,
    deleted,
    revised,
)
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.abc import HealthChange, Result
from unihooks.stores.sql.emitting import insert_timed
from unihooks.stores.sql.transaction import Transaction


def tell(tx: Transaction, told: Iterable[OperationalEvent], at: int) -> None:
    """Insert operational events that are made at that time."""
    events = list(told)
    moment = from_us(at)
    ids = new_ids("evt_", at, len(events))
    insert_timed(
        tx,
        [
            NewEvent(id_, one.tenant, PRODUCT, one.event_type, one.body(moment), at, subject=one.webhook_id)
            for id_, one in zip(ids, events, strict=True)
        ],
    )


def tell_change(tx: Transaction, old: Webhook | None, new: Webhook | None) -> None:
    """Report a change of a webhook; `before` is None if it was added, `after` None if it was deleted."""
    if new is None:
        told = [] if old is None else [deleted(old)]
    else:
        told = [created(new)] if old is None else revised(old, new)
    if told:
        # No event may be older than the change that it reports, whichever clock timed that.
        changed_at = new.updated_at if new is not None else None
        tell(tx, told, max(tx.time(), 0 if changed_at is None else to_us(changed_at)))


def failed_for_good(results: Iterable[Result]) -> list[Result]:
    """Return the failures to report to customers; deliveries of operational events are never among them."""
    return [one for one in results if one.state is DeliveryState.FAILED and one.claimed.product != PRODUCT]


def tell_results(
    tx: Transaction,
    results: Sequence[Result],
    failed: Sequence[Result],
    disabled: Sequence[tuple[Result, str]],
    health: Sequence[HealthChange],
) -> None:
    """Report failed deliveries, disabled endpoints, and changes of health.

    `results` are all of these endpoints, in the order in which they came.
    """
    ids = [one.claimed.endpoint_id for one in failed] + [one.claimed.endpoint_id for one, _ in disabled]
    places = _places(tx, [*ids, *(one.endpoint_id for one in health)])
    told = [_change(place, one, results) for one in health if (place := places.get(one.endpoint_id))]
    told += [
        place.happened(ENDPOINT_DISABLED, reason, _status(result))
        for result, reason in disabled
        if (place := places.get(result.claimed.endpoint_id))
    ]
    told += [_failure(place, one) for one in failed if (place := places.get(one.claimed.endpoint_id))]
    tell(tx, told, tx.now)


def _places(tx: Transaction, endpoint_ids: Iterable[str]) -> dict[str, Place]:
    wanted = list(dict.fromkeys(endpoint_ids))
    found = tx.fetch("places", endpoints=wanted) if wanted else ()
    return {
        id_: Place(tenant, webhook_id, name, Endpoint(url, id=id_, description=description))
        for id_, tenant, webhook_id, name, url, description in found
    }


def _change(place: Place, change: HealthChange, results: Sequence[Result]) -> OperationalEvent:
    """Return the event of a change of health, with the details of the last result that fits it."""
    is_good = change.after is HealthState.HEALTHY
    of_endpoint = (one for one in reversed(results) if one.claimed.endpoint_id == change.endpoint_id)
    last = next((one for one in of_endpoint if (one.state is DeliveryState.DELIVERED) is is_good), None)
    event_type = ENDPOINT_RECOVERED if is_good else ENDPOINT_FAILING
    return place.happened(event_type, None if last is None else last.reason, None if last is None else _status(last))


def _failure(place: Place, result: Result) -> OperationalEvent:
    one = result.claimed
    attempts = one.attempt_count if result.attempt is None else result.attempt.number
    delivery = {"id": one.id, "event_id": one.event_id, "product": one.product, "event_type": one.event_type}
    facts = {"delivery": delivery | {"attempts": attempts}}
    return place.happened(DELIVERY_FAILED, result.reason, _status(result), **facts)


def _status(result: Result) -> int | None:
    return None if result.attempt is None else result.attempt.status_code
