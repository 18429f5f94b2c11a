"""Read events, deliveries and attempts; replay, recover and cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any

from unihooks._management.log import BulkResult
from unihooks.console.api import shapes
from unihooks.console.api.operations import PAGING, Call, operation, sending
from unihooks.console.api.pages import paging, sized_page
from unihooks.console.api.problems import too_many
from unihooks.console.api.reading import Query
from unihooks.console.api.schemas import COMPONENTS
from unihooks.console.host.rates import in_slices
from unihooks.console.host.viewers import Permission

_MOST = 10_000
_ONE = "/deliveries/{delivery_id}"
_ABOUT = {
    "held": "Pending, but waiting for the webhook to be activated or the endpoint to be enabled.",
    "status_code": (
        "The status of the last response: a code such as 503, a class such as 5xx, or none for no response."
    ),
    "search": "How an id of an event, a delivery or a webhook begins, or a subject, or a URL, with or without https://.",
    "since": "Created at this time or later.",
    "until": "Created before this time.",
}
FILTERS = tuple(
    Query(name=name, about=_ABOUT.get(name, "Only these."), schema=schema)
    for name, schema in COMPONENTS["Filter"]["properties"].items()
)
_EVENT_FILTERS = tuple(one for one in FILTERS if one.name in ("product", "event_type", "subject", "since", "until"))


@operation("GET", "/deliveries", "listDeliveries", answer="DeliveryPage", query=(*FILTERS, *PAGING))
async def list_deliveries(call: Call) -> dict[str, Any]:
    """List deliveries, newest first."""
    return shapes.page(await call.dispatcher.log.adeliveries(tenant=call.tenant, **call.query))


@operation("GET", "/deliveries/count", "countDeliveries", answer="Counted", query=FILTERS)
async def count_deliveries(call: Call) -> dict[str, Any]:
    """Count what `listDeliveries` lists for the same filters, up to 10,000. Ask this before you replay."""
    return {"count": await call.dispatcher.log.acount(tenant=call.tenant, most=_MOST, **call.query), "most": _MOST}


@sending("/deliveries/replay", "replayDeliveries", answer="Replayed", body="ReplayAll")
async def replay_deliveries(call: Call) -> dict[str, Any]:
    """Replay the deliveries that match a filter, oldest first, up to `most`.

    Left out are those that are pending, erased, or were delivered by a replay. If there is `more`, send the request
    again after `retry_after` seconds, with another idempotency key.
    """
    return await _in_bulk(call, "replayed", partial(call.dispatcher.log.areplay_all, **with_times(call.body["filter"])))


@sending("/webhooks/{webhook_id}/recover", "recoverDeliveries", answer="Recovered", body="Recovery")
async def recover_deliveries(call: Call) -> dict[str, Any]:
    """Plan the events that a webhook missed in a period, and send failed deliveries again, up to `most`.

    If there is `more`, send the request again after `retry_after` seconds, with another idempotency key.
    """
    webhook_id = call.path["webhook_id"]
    await call.dispatcher.webhooks.aget(webhook_id, tenant=call.tenant)
    times = {name: value for name, value in with_times(call.body).items() if name != "most"}
    return await _in_bulk(call, "recovered", partial(call.dispatcher.log.arecover, webhook_id, **times))


@operation("GET", _ONE, "getDelivery", answer="Delivery")
async def get_delivery(call: Call) -> dict[str, Any]:
    """Return a delivery."""
    return shapes.shown(await call.dispatcher.log.adelivery(call.path["delivery_id"], tenant=call.tenant))


@operation("GET", f"{_ONE}/attempts", "listAttempts", answer="AttemptPage", query=PAGING)
async def list_attempts(call: Call) -> dict[str, Any]:
    """List the attempts of a delivery, newest first, with secrets redacted. A page ends at 1 MB."""
    listing = partial(call.dispatcher.log.attempts, call.path["delivery_id"], tenant=call.tenant)
    return await sized_page(listing, **call.query)


@operation("GET", f"{_ONE}/body", "getBody", answer="Body")
async def get_body(call: Call) -> dict[str, Any]:
    """Return the body that a delivery sends. It is empty if the event was erased or cannot be rendered."""
    found = await call.dispatcher.log.abody(call.path["delivery_id"], tenant=call.tenant)
    return {"body": found.decode()}


@sending(
    f"{_ONE}/replay",
    "replayDelivery",
    answer="Delivery",
    body="Nothing",
    status=201,
    location="/deliveries/{id}",
)
async def replay_delivery(call: Call) -> dict[str, Any]:
    """Make a new delivery with the same body and the same `webhook-id`."""
    delivery_id = call.path["delivery_id"]
    # An id that is only guessed must not use up the tenant's rate, so it is looked up first.
    await call.dispatcher.log.adelivery(delivery_id, tenant=call.tenant)
    if wait := call.settings.rates.replays.take(call.tenant):
        raise too_many(wait)
    return shapes.shown(await call.dispatcher.log.areplay(delivery_id, tenant=call.tenant))


@operation(
    "POST",
    f"{_ONE}/cancel",
    "cancelDelivery",
    answer="Delivery",
    body="Nothing",
    permission=Permission.SEND,
    keyed=True,
)
async def cancel_delivery(call: Call) -> dict[str, Any]:
    """Cancel a pending delivery."""
    return shapes.shown(await call.dispatcher.log.acancel(call.path["delivery_id"], tenant=call.tenant))


@operation("GET", "/events", "listEvents", answer="EventPage", query=(*_EVENT_FILTERS, *PAGING))
async def list_events(call: Call) -> dict[str, Any]:
    """List events, newest first, with payloads. A page ends at 1 MB, so it may have fewer items than asked for."""
    filters, where = paging(call.query)
    return await sized_page(partial(call.dispatcher.log.events, tenant=call.tenant, **filters), **where)


@operation("GET", "/events/{event_id}", "getEvent", answer="Event")
async def get_event(call: Call) -> dict[str, Any]:
    """Return an event with its payload, which is null once the event was erased."""
    return shapes.shown(await call.dispatcher.log.aevent(call.path["event_id"], tenant=call.tenant))


def with_times(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters, or the period, of a body, with its times read."""
    times: dict[str, datetime] = {one.name: one.read(given[one.name]) for one in FILTERS[-2:] if one.name in given}
    return {**given, **times}


async def _in_bulk(call: Call, name: str, verb: Callable[..., Awaitable[BulkResult]]) -> dict[str, Any]:
    """Carry out a verb as far as the tenant's rate allows, and say how to go on."""
    limiter = call.settings.rates.replays
    done, wait = await in_slices(limiter, call.tenant, verb, call.body.get("most", _MOST))
    if wait and not done.made:
        raise too_many(wait)
    return {name: done.made, "more": done.more, "retry_after": ceil(wait)}
