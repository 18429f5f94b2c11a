"""List deliveries, of the tenant or of one webhook, and replay all that a list shows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.webhooks import Webhook
from unihooks.console import _narrowing
from unihooks.console._access import Form, action, view
from unihooks.console._formats import now
from unihooks.console._narrowing import PERIODS, Narrowing
from unihooks.console._rates import RECOVERY
from unihooks.console._rendering import go_to, page, path_to, settings_of, viewer_of
from unihooks.console._titles import titles
from unihooks.console._viewers import Permission
from unihooks.console.pages.delivery import too_many

_PER_PAGE = 30
_MOST_REPLAYED = 5_000


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show deliveries of all webhooks of the tenant."""
    return await _listed(request, None)


@view(Permission.READ)
async def show_of_webhook(request: Request) -> Response:
    """Show deliveries of one webhook."""
    return await _listed(request, await _wanted(request))


@view(Permission.SEND)
async def ask_replay(request: Request) -> Response:
    """Say how many deliveries the filters show, and ask."""
    narrow = _narrowing.read(request.query_params)
    return await _asked(request, narrow)


@action(Permission.SEND)
async def replay_all(request: Request, form: Form) -> Response:
    """Replay what the filters show, if that is still as much as was asked about."""
    narrow = _narrowing.read(dict(form.pairs))
    settings, tenant = settings_of(request), viewer_of(request).tenant
    log = settings.dispatcher.log
    count = await log.acount(tenant=tenant, most=_MOST_REPLAYED, **narrow.filters())
    if wait := settings.rates.replays.take(tenant, max(count, 1)):
        return too_many(request, wait)
    await log.areplay_all(tenant=tenant, most=_MOST_REPLAYED, **narrow.filters())
    return _back(request, narrow)


@action(Permission.SEND)
async def recover(request: Request, form: Form) -> Response:
    """Plan what a webhook missed in a period, and what failed."""
    settings, webhook = settings_of(request), await _wanted(request)
    tenant = viewer_of(request).tenant
    if wait := settings.rates.replays.take(tenant, RECOVERY):
        return too_many(request, wait)
    since = now() - PERIODS.get(form.get("period"), PERIODS["24h"])
    await settings.dispatcher.log.arecover(webhook.id, tenant=tenant, since=since)
    return go_to(request, "webhook_deliveries", done="recovered", webhook_id=webhook.id)


async def _asked(request: Request, narrow: Narrowing) -> Response:
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    webhook = await dispatcher.webhooks.aget(narrow["webhook"], tenant=tenant) if narrow["webhook"] else None
    count = await dispatcher.log.acount(tenant=tenant, most=_MOST_REPLAYED, **narrow.filters())
    return page(request, "replay.html", narrow=narrow, webhook=webhook, count=count, most=_MOST_REPLAYED)


def _back(request: Request, narrow: Narrowing) -> Response:
    if narrow["webhook"]:
        return go_to(request, "webhook_deliveries", done="replayed_all", webhook_id=narrow["webhook"])
    return go_to(request, "deliveries", done="replayed_all")


async def _wanted(request: Request) -> Webhook:
    webhooks = settings_of(request).dispatcher.webhooks
    return await webhooks.aget(request.path_params["webhook_id"], tenant=viewer_of(request).tenant)


async def _listed(request: Request, webhook: Webhook | None) -> Response:
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    narrow = _narrowing.read(request.query_params)
    cursor = request.query_params.get("cursor")
    filters = narrow.filters(webhook.id if webhook else None)
    found = await dispatcher.log.adeliveries(tenant=tenant, limit=_PER_PAGE, cursor=cursor, **filters)
    where = path_to(request, "webhook_deliveries", webhook_id=webhook.id) if webhook else path_to(request, "deliveries")
    return page(
        request,
        "deliveries.html",
        page=found,
        webhook=webhook,
        narrow=narrow,
        states=_narrowing.STATES,
        catalog=dispatcher.catalog,
        title_of=titles(dispatcher.catalog),
        where=where,
        live=f"{where}{narrow.query()}" if cursor is None else "",
        all_of_these=narrow.query(webhook=webhook.id if webhook else None),
        cursor_link=lambda cursor: f"{where}{narrow.query(cursor=cursor)}",
    )


ROUTES = [
    Route("/deliveries", show, name="deliveries"),
    Route("/deliveries/replay", ask_replay, methods=["GET"], name="replay_all"),
    Route("/deliveries/replay", replay_all, methods=["POST"], name="do_replay_all"),
    Route("/webhooks/{webhook_id}/deliveries", show_of_webhook, name="webhook_deliveries"),
    Route("/webhooks/{webhook_id}/recover", recover, methods=["POST"], name="recover"),
]
