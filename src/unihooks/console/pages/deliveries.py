"""List the deliveries of a tenant or of one webhook, and replay all that match the filters, at once or as a job."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._management.jobs import RENDERINGS
from unihooks._model.webhooks import Webhook
from unihooks.console import _delivery_filters
from unihooks.console._access import Form, action, view
from unihooks.console._delivery_filters import PERIODS, ChosenFilters
from unihooks.console._formats import now
from unihooks.console._operational import shown_catalog
from unihooks.console._rates import in_slices
from unihooks.console._rendering import go_to, page, path_to, settings_of, viewer_of, webhook_of
from unihooks.console._titles import titles
from unihooks.console._viewers import Permission
from unihooks.console.pages.delivery import too_many

_PER_PAGE = 30
_MOST_AT_ONCE = 5_000


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the deliveries of all webhooks of the tenant."""
    return await _listed(request, None)


@view(Permission.READ)
async def show_of_webhook(request: Request) -> Response:
    """Show the deliveries of one webhook."""
    return await _listed(request, await webhook_of(request))


@view(Permission.SEND)
async def ask_replay(request: Request) -> Response:
    """Ask for confirmation, with the number of matching deliveries."""
    filters = _delivery_filters.read(request.query_params)
    return await _asked(request, filters)


@action(Permission.SEND)
async def replay_all(request: Request, form: Form) -> Response:
    """Replay the matching deliveries, or let workers do it as a job."""
    filters = _delivery_filters.read(dict(form.pairs))
    settings, tenant = settings_of(request), viewer_of(request).tenant
    if form.get("job") in RENDERINGS:
        await settings.dispatcher.jobs.areplay(tenant=tenant, rendering=form.get("job"), **filters.for_log())
        return go_to(request, "jobs", done="job_started")
    verb = partial(settings.dispatcher.log.areplay_all, **filters.for_log())
    done, wait = await in_slices(settings.rates.replays, tenant, verb, _MOST_AT_ONCE)
    if wait and not done.made:
        return too_many(request, wait)
    return _back(request, filters, "replayed_some" if done.more else "replayed_all")


@action(Permission.SEND)
async def recover(request: Request, form: Form) -> Response:
    """Send what a webhook missed in a period, and what failed, or let workers do it as a job."""
    settings, webhook = settings_of(request), await webhook_of(request)
    tenant = viewer_of(request).tenant
    since = now() - PERIODS.get(form.get("period"), PERIODS["24h"])
    if form.get("job"):
        await settings.dispatcher.jobs.arecover(webhook.id, tenant=tenant, since=since)
        return go_to(request, "jobs", done="job_started")
    verb = partial(settings.dispatcher.log.arecover, webhook.id, since=since)
    done, wait = await in_slices(settings.rates.replays, tenant, verb, _MOST_AT_ONCE)
    if wait and not done.made:
        return too_many(request, wait)
    told = "recovered_some" if done.more else "recovered"
    return go_to(request, "webhook_deliveries", done=told, webhook_id=webhook.id)


async def _asked(request: Request, filters: ChosenFilters) -> Response:
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    webhook = await dispatcher.webhooks.aget(filters["webhook"], tenant=tenant) if filters["webhook"] else None
    count = await dispatcher.log.acount(tenant=tenant, most=_MOST_AT_ONCE, **filters.for_log())
    return await page(request, "replay.html", filters=filters, webhook=webhook, count=count, most=_MOST_AT_ONCE)


def _back(request: Request, filters: ChosenFilters, done: str) -> Response:
    if filters["webhook"]:
        return go_to(request, "webhook_deliveries", done=done, webhook_id=filters["webhook"])
    return go_to(request, "deliveries", done=done)


async def _listed(request: Request, webhook: Webhook | None) -> Response:
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    filters = _delivery_filters.read(request.query_params)
    cursor = request.query_params.get("cursor")
    found = await dispatcher.log.adeliveries(
        tenant=tenant, limit=_PER_PAGE, cursor=cursor, **filters.for_log(webhook.id if webhook else None)
    )
    where = path_to(request, "webhook_deliveries", webhook_id=webhook.id) if webhook else path_to(request, "deliveries")
    return await page(
        request,
        "deliveries.html",
        page=found,
        webhook=webhook,
        filters=filters,
        states=_delivery_filters.STATES,
        catalog=shown_catalog(dispatcher.catalog),
        title_of=titles(dispatcher.catalog),
        where=where,
        live=f"{where}{filters.query()}" if cursor is None else "",
        all_of_these=filters.query(webhook=webhook.id if webhook else None),
        cursor_link=lambda cursor: f"{where}{filters.query(cursor=cursor)}",
    )


ROUTES = [
    Route("/deliveries", show, name="deliveries"),
    Route("/deliveries/replay", ask_replay, methods=["GET"], name="replay_all"),
    Route("/deliveries/replay", replay_all, methods=["POST"], name="do_replay_all"),
    Route("/webhooks/{webhook_id}/deliveries", show_of_webhook, name="webhook_deliveries"),
    Route("/webhooks/{webhook_id}/recover", recover, methods=["POST"], name="recover"),
]
