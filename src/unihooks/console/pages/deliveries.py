"""List the deliveries of a tenant or of one webhook: the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._management.log import Tally
from unihooks._management.paging import Page
from unihooks._model.jobs import Job
from unihooks._model.log import Delivery
from unihooks._model.webhooks import Webhook
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import view
from unihooks.console.http.rendering import page, path_to, refusal, settings_of, viewer_of, webhook_of
from unihooks.console.views import delivery_filters
from unihooks.console.views.delivery_filters import Place
from unihooks.console.words.formats import number
from unihooks.console.words.locale import gettext
from unihooks.console.words.titles import shown_catalog, titles

_PER_PAGE = 30
_MOST_COUNTED = 5_000


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the deliveries of all webhooks of the tenant."""
    return await _listed(request, None)


@view(Permission.READ)
async def show_of_webhook(request: Request) -> Response:
    """Show the deliveries of one webhook."""
    return await _listed(request, await webhook_of(request))


async def _listed(request: Request, webhook: Webhook | None) -> Response:
    dispatcher, place = settings_of(request).dispatcher, delivery_filters.place(request.query_params)
    webhook_id, filters, problem = webhook.id if webhook else None, place.filters, place.filters.problem
    found, tally, job = await _found(request, place, webhook_id) if problem is None else (Page(()), _NOTHING, None)
    where = path_to(request, "webhook_deliveries", webhook_id=webhook.id) if webhook else path_to(request, "deliveries")
    return await page(
        request,
        "deliveries.html",
        http_status=200 if problem is None else refusal(request),
        page=found,
        webhook=webhook,
        filters=filters,
        problem=problem,
        longest=delivery_filters.LONGEST if filters.is_cut else None,
        counted=_counted(place, found, tally),
        job=job,
        states=delivery_filters.STATES,
        knows_zones=delivery_filters.knows_zones(),
        catalog=shown_catalog(dispatcher.catalog),
        title_of=titles(dispatcher.catalog),
        where=where,
        live=f"{where}{filters.query()}" if place.cursor is None and problem is None else "",
        packed=place.packed(webhook_id),
        all_of_these=filters.query(webhook=webhook_id or filters["webhook"]),
        cursor_link=_linker(where, place, found),
    )


async def _found(request: Request, place: Place, webhook_id: str | None) -> tuple[Page[Delivery], Tally, Job | None]:
    """Return a page of the log, the total number of deliveries, and the running job."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    wanted = place.filters.for_log(webhook_id)
    found, jobs = await asyncio.gather(
        dispatcher.log.adeliveries(tenant=tenant, limit=_PER_PAGE, cursor=place.cursor, **wanted),
        dispatcher.jobs.alist(tenant=tenant, limit=1),
    )
    if place.cursor is None and found.next is None:
        tally = Tally(count=len(found), is_all=True)
    else:
        tally = await dispatcher.log.atally(tenant=tenant, most=_MOST_COUNTED, **wanted)
    return found, tally, jobs[0] if jobs and jobs[0].is_unfinished else None


def _counted(place: Place, found: Page[Delivery], tally: Tally) -> str:
    """Return the text that says which deliveries a page shows, and of how many."""
    first = 1 if found.previous is None else place.first
    count = max(tally.count, (first or 1) + len(found) - 1)
    if first is None:
        more = gettext("%(count)s deliveries") if tally.is_all else gettext("%(count)s deliveries or more")
        return more % {"count": number(count)}
    figures = {"first": number(first), "last": number(first + len(found) - 1), "count": number(count)}
    if tally.is_all:
        return gettext("%(first)s to %(last)s of %(count)s") % figures
    return gettext("%(first)s to %(last)s of %(count)s or more") % figures


def _linker(where: str, place: Place, found: Page[Delivery]) -> Callable[[str], str]:
    first = 1 if found.previous is None else place.first

    def link(cursor: str) -> str:
        step = len(found) if cursor == found.next else -_PER_PAGE
        return f"{where}{Place(place.filters, cursor, max(1, first + step) if first else None).query()}"

    return link


_NOTHING = Tally(count=0, is_all=True)

ROUTES = [
    Route("/deliveries", show, name="deliveries"),
    Route("/webhooks/{webhook_id}/deliveries", show_of_webhook, name="webhook_deliveries"),
]
