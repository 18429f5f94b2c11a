"""Show an operator the state of all tenants, of one tenant, and of a worker."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks._base.awaitable import in_own_thread
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import view
from unihooks.console.http.rendering import page, path_to, refuse, settings_of
from unihooks.console.views import operating
from unihooks.console.views.plots import chart_of
from unihooks.exceptions import InvalidArgument

_PER_PAGE = 50
_MOST_JOBS = 10


@view(Permission.OPERATE)
async def show(request: Request) -> Response:
    """Show the overview: the queue and its trends, workers, jobs, endpoints to look after, a page of the tenants."""
    dispatcher, query = settings_of(request).dispatcher, request.query_params
    if query.get("tenant"):
        return RedirectResponse(_tenant_link(request, query["tenant"]), 303)
    overview, tenants, jobs = await asyncio.gather(
        dispatcher.aoverview(),
        dispatcher.atenants(limit=_PER_PAGE, cursor=query.get("cursor")),
        in_own_thread(dispatcher.settings.open_store.newest_jobs, _MOST_JOBS),
    )
    where, hours = path_to(request, "operator"), overview.trends.hours
    return await page(
        request,
        "operator.html",
        overview=overview,
        stats=overview.stats,
        ages=operating.age_chart(overview.trends.ages, hours),
        throughput=chart_of({one.hour: one for one in hours}, timedelta(hours=1)),
        tenants=tenants,
        jobs=jobs,
        live=where if query.get("cursor") is None else f"{where}?{urlencode({'cursor': query['cursor']})}",
        tenant_link=partial(_tenant_link, request),
        cursor_link=lambda cursor: f"{where}?{urlencode({'cursor': cursor})}#tenants",
    )


@view(Permission.OPERATE)
async def show_tenant(request: Request) -> Response:
    """Show a tenant: how much it has, what waits for it, its webhooks, jobs, and changes."""
    name, cursor = request.query_params.get("name", ""), request.query_params.get("cursor")
    try:
        found = await in_own_thread(operating.tenant_view, settings_of(request).dispatcher, name, cursor)
    except InvalidArgument:
        # No tenant can have such a name.
        return refuse(request, 404)
    link = partial(_tenant_link, request)
    return await page(
        request,
        "operator_tenant.html",
        tenant=found,
        live=link(name, cursor),
        cursor_link=lambda cursor: link(name, cursor),
        tenant_link=link,
    )


@view(Permission.OPERATE)
async def show_worker(request: Request) -> Response:
    """Show what a worker holds; one that was not seen for a minute may still hold something."""
    worker_id = request.path_params["worker_id"]
    worker, held = await in_own_thread(operating.held_by, settings_of(request).dispatcher, worker_id)
    if worker is None and not held:
        return refuse(request, 404)
    link = partial(_tenant_link, request)
    where = path_to(request, "worker", worker_id=worker_id)
    return await page(
        request, "operator_worker.html", id=worker_id, worker=worker, held=held, live=where, tenant_link=link
    )


def _tenant_link(request: Request, name: str, cursor: str | None = None) -> str:
    # A tenant's name may have any character, so it does not stand in the path.
    query = {"name": name} if cursor is None else {"name": name, "cursor": cursor}
    return f"{path_to(request, 'tenant')}?{urlencode(query)}"


ROUTES = [
    Route("/operator", show, name="operator"),
    Route("/operator/tenant", show_tenant, name="tenant"),
    Route("/operator/workers/{worker_id}", show_worker, name="worker"),
]
