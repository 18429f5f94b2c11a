"""Show the catalog, documents made from it, where requests come from, and who asks."""

from __future__ import annotations

from typing import Any

from unihooks._model.catalog import Catalog
from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._operations import Call, Operation


async def listed(call: Call) -> dict[str, Any]:
    """Return the products with their event types."""
    return {"products": [_shapes.product(one) for one in call.dispatcher.catalog or ()]}


async def openapi(call: Call) -> dict[str, Any]:
    """Return the event types as OpenAPI."""
    return (call.dispatcher.catalog or Catalog()).openapi(title=call.settings.branding.title)


async def asyncapi(call: Call) -> dict[str, Any]:
    """Return the event types as AsyncAPI."""
    return (call.dispatcher.catalog or Catalog()).asyncapi(title=call.settings.branding.title)


async def sender(call: Call) -> dict[str, Any]:
    """Return the addresses that requests come from."""
    return {"egress_ips": list(call.dispatcher.egress_ips)}


async def viewer(call: Call) -> dict[str, Any]:
    """Return who asks."""
    permissions = sorted(call.viewer.permissions)
    return {"tenant": call.tenant, "name": call.viewer.name, "permissions": [str(one) for one in permissions]}


OPERATIONS = (
    Operation(
        method="GET",
        path="/catalog",
        id="getCatalog",
        about="Return the products and event types on offer",
        permission=Permission.READ,
        handle=listed,
        answer="Catalog",
    ),
    Operation(
        method="GET",
        path="/catalog/openapi.json",
        id="getCatalogAsOpenAPI",
        about="Return the event types as the `webhooks` of an OpenAPI 3.1 document",
        permission=Permission.READ,
        handle=openapi,
        answer="Document",
    ),
    Operation(
        method="GET",
        path="/catalog/asyncapi.json",
        id="getCatalogAsAsyncAPI",
        about="Return the event types as an AsyncAPI 3 document",
        permission=Permission.READ,
        handle=asyncapi,
        answer="Document",
    ),
    Operation(
        method="GET",
        path="/sender",
        id="getSender",
        about="Return the addresses that requests come from, for allow-lists",
        permission=Permission.READ,
        handle=sender,
        answer="Sender",
    ),
    Operation(
        method="GET",
        path="/viewer",
        id="getViewer",
        about="Return who you are here, and what you may do",
        permission=None,
        handle=viewer,
        answer="Viewer",
    ),
)
