"""Show the products and event types on offer, and give them as documents for machines."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console._access import view
from unihooks.console._rendering import page, settings_of
from unihooks.console._schema import rows
from unihooks.console._viewers import Permission


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show all event types with schema and example."""
    catalog = settings_of(request).dispatcher.catalog
    return page(request, "catalogue.html", catalog=catalog, rows_of=rows, search=request.query_params.get("search", ""))


ROUTES = [
    Route("/events", show, name="catalogue"),
]
