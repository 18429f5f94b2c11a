"""Read deliveries and attempts; replay and cancel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unihooks.console._rates import RECOVERY
from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._operations import PAGING, Call, Operation
from unihooks.console.api._problems import too_many
from unihooks.console.api._reading import Query
from unihooks.console.api._schemas import COMPONENTS

_MOST = 10_000
_ONE = "/deliveries/{delivery_id}"
_ABOUT = {
    "held": "Pending, but waiting for its webhook to be activated or its endpoint to be enabled.",
    "since": "Made at this time or later.",
    "until": "Made before this time.",
}
FILTERS = tuple(
    Query(name=name, about=_ABOUT.get(name, "Only these."), schema=schema)
    for name, schema in COMPONENTS["Filter"]["properties"].items()
)


async def listed(call: Call) -> dict[str, Any]:
    """List deliveries."""
    return _shapes.page(await call.dispatcher.log.adeliveries(tenant=call.tenant, **call.query))


async def counted(call: Call) -> dict[str, Any]:
    """Count deliveries."""
    return {"count": await call.dispatcher.log.acount(tenant=call.tenant, most=_MOST, **call.query), "most": _MOST}


async def got(call: Call) -> dict[str, Any]:
    """Return one delivery."""
    return _shapes.shown(await call.dispatcher.log.adelivery(call.path["delivery_id"], tenant=call.tenant))


async def attempts(call: Call) -> dict[str, Any]:
    """List the attempts of a delivery."""
    return _shapes.page(await call.dispatcher.log.aattempts(call.path["delivery_id"], tenant=call.tenant, **call.query))


async def body(call: Call) -> dict[str, Any]:
    """Return what a delivery sends."""
    found = await call.dispatcher.log.abody(call.path["delivery_id"], tenant=call.tenant)
    return {"body": found.decode()}


async def replayed(call: Call) -> dict[str, Any]:
    """Replay one delivery."""
    delivery_id = call.path["delivery_id"]
    # Who guesses ids is not made to wait, nor is anybody else.
    await call.dispatcher.log.adelivery(delivery_id, tenant=call.tenant)
    _take(call, 1)
    return _shapes.shown(await call.dispatcher.log.areplay(delivery_id, tenant=call.tenant))


async def replayed_all(call: Call) -> dict[str, Any]:
    """Replay what a filter shows."""
    filters, most = _filters(call.body["filter"]), call.body.get("most", _MOST)
    _take(call, await call.dispatcher.log.acount(tenant=call.tenant, most=most, **filters))
    return {"replayed": await call.dispatcher.log.areplay_all(tenant=call.tenant, most=most, **filters)}


async def recovered(call: Call) -> dict[str, Any]:
    """Plan what a webhook missed, and what failed."""
    webhook_id = call.path["webhook_id"]
    await call.dispatcher.webhooks.aget(webhook_id, tenant=call.tenant)
    times = _filters(call.body)
    _take(call, RECOVERY)
    return {"recovered": await call.dispatcher.log.arecover(webhook_id, tenant=call.tenant, **times)}


async def cancelled(call: Call) -> dict[str, Any]:
    """Cancel a delivery."""
    return _shapes.shown(await call.dispatcher.log.acancel(call.path["delivery_id"], tenant=call.tenant))


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    times: dict[str, datetime] = {one.name: one.read(given[one.name]) for one in FILTERS[-2:] if one.name in given}
    return {**given, **times}


def _take(call: Call, count: int) -> None:
    wait = call.settings.rates.replays.take(call.tenant, max(count, 1))
    if wait:
        raise too_many(wait)


OPERATIONS = (
    Operation(
        method="GET",
        path="/deliveries",
        id="listDeliveries",
        about="List deliveries, newest first",
        permission=Permission.READ,
        handle=listed,
        answer="DeliveryPage",
        query=(*FILTERS, *PAGING),
    ),
    Operation(
        method="GET",
        path="/deliveries/count",
        id="countDeliveries",
        about="Count what `listDeliveries` lists for the same filters, up to 10,000; ask this before you replay",
        permission=Permission.READ,
        handle=counted,
        answer="Counted",
        query=FILTERS,
    ),
    Operation(
        method="POST",
        path="/deliveries/replay",
        id="replayDeliveries",
        about="Replay what a filter shows, oldest first, up to `most`; what is pending or has no body is left out",
        permission=Permission.SEND,
        handle=replayed_all,
        answer="Replayed",
        body="ReplayAll",
        once=True,
        limited=True,
    ),
    Operation(
        method="POST",
        path="/webhooks/{webhook_id}/recover",
        id="recoverDeliveries",
        about="Plan what a webhook missed in a period, and again what failed; the answer says how many deliveries",
        permission=Permission.SEND,
        handle=recovered,
        answer="Recovered",
        body="Recovery",
        once=True,
        limited=True,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="getDelivery",
        about="Return a delivery",
        permission=Permission.READ,
        handle=got,
        answer="Delivery",
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/attempts",
        id="listAttempts",
        about="List a delivery's attempts, newest first: request and answer, with secrets redacted",
        permission=Permission.READ,
        handle=attempts,
        answer="AttemptPage",
        query=PAGING,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/body",
        id="getBody",
        about="Return the body that a delivery sends; empty if its event was erased or the mapping failed",
        permission=Permission.READ,
        handle=body,
        answer="Body",
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/replay",
        id="replayDelivery",
        about="Make a new delivery with the same body and the same `webhook-id`",
        permission=Permission.SEND,
        handle=replayed,
        answer="Delivery",
        body="Nothing",
        status=201,
        once=True,
        limited=True,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/cancel",
        id="cancelDelivery",
        about="Cancel a pending delivery",
        permission=Permission.SEND,
        handle=cancelled,
        answer="Delivery",
        body="Nothing",
        once=True,
    ),
)
