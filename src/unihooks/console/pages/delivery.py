"""Show one delivery, as a page or beside the log: the requests, the responses, why it failed, and what can be done."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._management.paging import cursor_at
from unihooks._model.log import Delivery, DeliveryState
from unihooks._model.webhooks import Webhook
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import off_the_loop, path_to, redirect, rendered, settings_of, too_many, viewer_of
from unihooks.console.views import delivery_filters
from unihooks.console.views.attempts import readable, shown_attempt
from unihooks.console.views.delivery_filters import Place, back_to_log, path_to_log
from unihooks.console.words.explanations import explain
from unihooks.console.words.titles import titles
from unihooks.exceptions import NotFound

# What `back` says in forms that are shown beside the log.
_LOG = "log"


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the delivery and its attempts."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    delivery = await dispatcher.log.adelivery(request.path_params["delivery_id"], tenant=tenant)
    packed = request.query_params.get("in", "")
    place = delivery_filters.unpacked(packed)
    webhook, body, attempts, (newer, older) = await asyncio.gather(
        _webhook_of(request, delivery),
        dispatcher.log.abody(delivery.id, tenant=tenant),
        dispatcher.log.aattempts(delivery.id, tenant=tenant, cursor=request.query_params.get("cursor")),
        _neighbours(request, delivery, place),
    )
    where = {"in": packed} if place else {}
    return await off_the_loop(
        _shown,
        request,
        body=body,
        delivery=delivery,
        beside="drawer" in request.query_params,
        packed=packed if place else "",
        newer=_link(request, newer, where),
        older=_link(request, older, where),
        back=path_to_log(request, place) if place else None,
        webhook=webhook,
        endpoint=webhook.endpoint(delivery.endpoint_id) if webhook else None,
        page=attempts,
        why=explain(delivery, attempts[0] if attempts else None),
        cursor_link=lambda cursor: _link(request, delivery.id, {**where, "cursor": cursor}),
        may_cancel=delivery.state is DeliveryState.PENDING,
        title=titles(dispatcher.catalog)(delivery),
    )


def _shown(request: Request, *, body: bytes, **values: Any) -> Response:
    attempts = [shown_attempt(one, body, values["webhook"]) for one in values["page"]]
    template = "drawer.html" if values["beside"] else "delivery.html"
    return rendered(request, template, body=readable(body), attempts=attempts, **values)


@action(Permission.SEND)
async def replay(request: Request, form: Form) -> Response:
    """Send the same content again, as a new delivery."""
    settings, tenant = settings_of(request), viewer_of(request).tenant
    if wait := settings.rates.replays.take(tenant):
        return too_many(request, wait)
    delivery = await settings.dispatcher.log.areplay(request.path_params["delivery_id"], tenant=tenant)
    return _return(request, form, delivery, "replayed")


@action(Permission.SEND)
async def cancel(request: Request, form: Form) -> Response:
    """Make no further attempt."""
    log, tenant = settings_of(request).dispatcher.log, viewer_of(request).tenant
    delivery = await log.acancel(request.path_params["delivery_id"], tenant=tenant)
    return _return(request, form, delivery, "cancelled")


def _return(request: Request, form: Form, delivery: Delivery, done: str) -> Response:
    """Show a delivery after an action on it, or the log beside which its form was."""
    place = delivery_filters.unpacked(form.get("in"))
    if form.get("back") == _LOG:
        return back_to_log(request, place, done)
    where = _link(request, delivery.id, {"in": form.get("in")} if place else {})
    return redirect(request, where or "", done=done)


async def _neighbours(request: Request, delivery: Delivery, place: Place | None) -> tuple[str | None, str | None]:
    """Return the ids of the next newer and the next older delivery in the list that the viewer came from."""
    if place is None or place.filters.problem:
        return None, None
    log, tenant = settings_of(request).dispatcher.log, viewer_of(request).tenant
    wanted = place.filters.for_log()
    cursors = [cursor_at(delivery.id, newer=newer) for newer in (True, False)]
    pages = await asyncio.gather(*(log.adeliveries(tenant=tenant, limit=1, cursor=one, **wanted) for one in cursors))
    newer, older = (page[0].id if page else None for page in pages)
    return newer, older


def _link(request: Request, delivery_id: str | None, query: dict[str, str]) -> str | None:
    if delivery_id is None:
        return None
    where = path_to(request, "delivery", delivery_id=delivery_id)
    return f"{where}?{urlencode(query)}" if query else where


async def _webhook_of(request: Request, delivery: Delivery) -> Webhook | None:
    try:
        return await settings_of(request).dispatcher.webhooks.aget(
            delivery.webhook_id, tenant=viewer_of(request).tenant
        )
    except NotFound:
        return None


ROUTES = [
    Route("/deliveries/{delivery_id}", show, name="delivery"),
    Route("/deliveries/{delivery_id}/replay", replay, methods=["POST"], name="replay"),
    Route("/deliveries/{delivery_id}/cancel", cancel, methods=["POST"], name="cancel"),
]
