"""Show the products and event types on offer, and offer them as machine-readable documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unihooks._model.catalog import Catalog
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
async def openapi(request: Request) -> Response:
    """Return the OpenAPI 3.1 document of the event types."""
    return _document(request, "openapi.json", lambda catalog: catalog.openapi(header_prefix=_prefix(request)))


@view(Permission.READ)
async def asyncapi(request: Request) -> Response:
    """Return the AsyncAPI 3 document of the event types."""
    return _document(request, "asyncapi.json", lambda catalog: catalog.asyncapi(header_prefix=_prefix(request)))


def _prefix(request: Request) -> str:
    return settings_of(request).dispatcher.settings.names.prefix


def _document(request: Request, name: str, make: Callable[[Catalog], dict[str, Any]]) -> Response:
    catalog = settings_of(request).dispatcher.catalog
    if catalog is None:
        return refuse(request, 404)
    return JSONResponse(make(catalog), headers={"content-disposition": f'attachment; filename="{name}"'})


ROUTES = [
    Route("/events", show, name="catalog"),
    Route("/events/openapi.json", openapi, name="openapi"),
    Route("/events/asyncapi.json", asyncapi, name="asyncapi"),
]
