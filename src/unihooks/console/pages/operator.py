"""Show an operator the state of all tenants: the queue, the workers, failing and slow endpoints."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console._access import view
from unihooks.console._rendering import page, path_to, settings_of
from unihooks.console._viewers import Permission

_PER_PAGE = 50


@view(Permission.OPERATE)
async def show(request: Request) -> Response:
    """Show the overview, and a page of the tenants."""
    dispatcher = settings_of(request).dispatcher
    overview, tenants = await asyncio.gather(
        dispatcher.aoverview(), dispatcher.atenants(limit=_PER_PAGE, cursor=request.query_params.get("cursor"))
    )
    where = path_to(request, "operator")
    return await page(
        request,
        "operator.html",
        stats=overview.stats,
        failing=overview.failing,
        slowest=overview.slowest,
        workers=overview.stats.workers,
        tenants=tenants,
        where=where,
        cursor_link=lambda cursor: f"{where}?cursor={cursor}",
    )


ROUTES = [Route("/operator", show, name="operator")]
