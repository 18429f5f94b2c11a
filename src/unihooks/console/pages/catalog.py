"""Show the products and event types on offer, and offer them as machine-readable documents."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import view
from unihooks.console.http.rendering import page, refuse, settings_of
from unihooks.console.words.schema import rows
from unihooks.console.words.titles import shown_catalog


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show all event types with their schemas and examples."""
    catalog = shown_catalog(settings_of(request).dispatcher.catalog)
    search = request.query_params.get("search", "")
    return await page(request, "catalog.html", catalog=catalog, rows_of=rows, search=search)


@view(Permission.READ)
async def download(request: Request) -> Response:
    """Return the event types as an OpenAPI 3.1 or AsyncAPI 3 document."""
    dispatcher, name = settings_of(request).dispatcher, request.url.path.rpartition("/")[2]
    catalog, prefix = dispatcher.catalog, dispatcher.settings.names.prefix
    if catalog is None:
        return refuse(request, 404)
    make = catalog.openapi if name == "openapi.json" else catalog.asyncapi
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return JSONResponse(make(header_prefix=prefix), headers=headers)


ROUTES = [
    Route("/events", show, name="catalog"),
    Route("/events/openapi.json", download, name="openapi"),
    Route("/events/asyncapi.json", download, name="asyncapi"),
]
