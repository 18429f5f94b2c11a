"""Send deliveries again: some that were selected, all that match filters, or what a webhook missed."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import evolve
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._dispatcher import Dispatcher
from unihooks._management.jobs import RENDERINGS
from unihooks._management.log import Tally
from unihooks._model.log import Delivery, DeliveryState
from unihooks.console.host.rates import in_slices
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import go_to, page, settings_of, too_many, viewer_of, webhook_of
from unihooks.console.views import delivery_filters
from unihooks.console.views.delivery_filters import PERIODS, ChosenFilters, Place, back_to_log, path_to_log
from unihooks.console.words.formats import now
from unihooks.exceptions import Conflict, NotFound

_MOST_AT_ONCE = 5_000
_MOST_SELECTED = 250


@view(Permission.SEND)
async def ask(request: Request) -> Response:
    """Ask for confirmation, with the number of matching deliveries: those of filters, or all since one of them."""
    log, tenant = settings_of(request).dispatcher.log, viewer_of(request).tenant
    filters, since = delivery_filters.read(request.query_params), request.query_params.get("since")
    if not since:
        return await _asked(request, filters)
    first = await log.adelivery(since, tenant=tenant)
    return await _asked(request, _since(first, filters["state"]), first)


@action(Permission.SEND)
async def replay_all(request: Request, form: Form) -> Response:
    """Replay the matching deliveries, or let workers do it as a job."""
    filters = delivery_filters.read(dict(form.pairs))
    settings, tenant = settings_of(request), viewer_of(request).tenant
    if form.get("job") in RENDERINGS:
        await settings.dispatcher.jobs.areplay(tenant=tenant, rendering=form.get("job"), **filters.for_log())
        return go_to(request, "jobs", done="job_started")
    verb = partial(settings.dispatcher.log.areplay_all, **filters.for_log())
    done, wait = await in_slices(settings.rates.replays, tenant, verb, _MOST_AT_ONCE)
    if wait and not done.made:
        return too_many(request, wait)
    told = "replayed_some" if done.more else "replayed_all"
    return back_to_log(request, Place(ChosenFilters({"webhook": filters["webhook"]})), told)


@action(Permission.SEND)
async def replay_selected(request: Request, form: Form) -> Response:
    """Replay the deliveries that were ticked, or the one whose button was pressed, and return to the list."""
    ids = [form.get("one")] if form.get("one") else list(dict.fromkeys(form.all("delivery")))[:_MOST_SELECTED]
    limiter, tenant = settings_of(request).rates.replays, viewer_of(request).tenant
    place = delivery_filters.unpacked(form.get("in"))
    if not ids:
        return back_to_log(request, place, "none_selected")
    if wait := limiter.take(tenant, len(ids)):
        return too_many(request, wait)
    made = [await _replay(request, one) for one in ids].count(True)
    limiter.give_back(tenant, len(ids) - made)
    told = "replayed" if made == len(ids) == 1 else "replayed_all" if made == len(ids) else "replayed_possible"
    return back_to_log(request, place, told if made else "replayed_none")


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


async def _asked(request: Request, filters: ChosenFilters, first: Delivery | None = None) -> Response:
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    webhook = await dispatcher.webhooks.aget(filters["webhook"], tenant=tenant) if filters["webhook"] else None
    tally = await _replayable(dispatcher, tenant, filters)
    values: dict[str, Any] = {"filters": filters, "webhook": webhook, "tally": tally, "first": first}
    place = delivery_filters.unpacked(request.query_params.get("in", ""))
    back = path_to_log(request, place or Place(ChosenFilters({} if first else filters.chosen)))
    return await page(request, "replay.html", back=back, packed=request.query_params.get("in", ""), **values)


async def _replayable(dispatcher: Dispatcher, tenant: str, filters: ChosenFilters) -> Tally:
    """Count the matching deliveries without the pending ones, which are left out."""
    wanted = filters.for_log()
    if wanted["state"] == DeliveryState.PENDING:
        return Tally(count=0, is_all=True)
    count = partial(dispatcher.log.atally, tenant=tenant, most=_MOST_AT_ONCE)
    tally = await count(**wanted)
    if wanted["state"] is not None or not tally.is_all:
        return tally
    wanted["state"] = DeliveryState.PENDING
    pending = await count(**wanted)
    return evolve(tally, count=max(0, tally.count - pending.count))


async def _replay(request: Request, delivery_id: str) -> bool:
    """Replay a delivery; return whether it could be."""
    try:
        await settings_of(request).dispatcher.log.areplay(delivery_id, tenant=viewer_of(request).tenant)
    except (NotFound, Conflict):
        return False
    return True


def _since(first: Delivery, state: str) -> ChosenFilters:
    """Return the filters for what was made for the same endpoint since a delivery, itself included."""
    moment = first.created_at.replace(tzinfo=None).isoformat(timespec="milliseconds")
    chosen = {"webhook": first.webhook_id, "endpoint": first.endpoint_id, "from": moment}
    wanted = {"state": state} if state in (DeliveryState.FAILED, DeliveryState.CANCELLED) else {}
    return ChosenFilters(chosen | wanted)


ROUTES = [
    Route("/deliveries/replay", ask, methods=["GET"], name="replay_all"),
    Route("/deliveries/replay", replay_all, methods=["POST"], name="do_replay_all"),
    Route("/deliveries/replay-selected", replay_selected, methods=["POST"], name="replay_selected"),
    Route("/webhooks/{webhook_id}/recover", recover, methods=["POST"], name="recover"),
]
