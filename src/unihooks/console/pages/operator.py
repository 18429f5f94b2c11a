"""Show an operator the state of all tenants: the queue, the workers, failing and slow endpoints."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console._access import view
from unihooks.console._rendering import page, path_to, settings_of
from unihooks.console._viewers import Permission

_PER_PAGE = 50


@view(Permission.OPERATE)
async def show(request: Request) -> Response:
    """Show the overview, a page of the tenants, and how much one of them has."""
    dispatcher, tenant = settings_of(request).dispatcher, request.query_params.get("tenant")
    overview, tenants = await asyncio.gather(
        dispatcher.aoverview(), dispatcher.atenants(limit=_PER_PAGE, cursor=request.query_params.get("cursor"))
    )
    usage = await dispatcher.ausage(tenant) if tenant else None
    where = path_to(request, "operator")
    return await page(
        request,
        "operator.html",
        stats=overview.stats,
        failing=overview.failing,
        slowest=overview.slowest,
        workers=overview.stats.workers,
        tenants=tenants,
        tenant=tenant,
        usage=usage,
        where=where,
        live=f"{where}?{urlencode({'tenant': tenant})}" if tenant else where,
        usage_link=lambda tenant: f"{where}?{urlencode({'tenant': tenant})}",
        cursor_link=lambda cursor: f"{where}?cursor={cursor}",
    )


ROUTES = [Route("/operator", show, name="operator")]
