"""Show the catalog, the documents made from it, the sender's addresses, the viewer, and how much a tenant has."""

from __future__ import annotations

from typing import Any

import attrs

from unihooks._model.catalog import Catalog
from unihooks.console.api import shapes
from unihooks.console.api.operations import Call, operation


@operation("GET", "/catalog", "getCatalog", answer="Catalog")
async def get_catalog(call: Call) -> dict[str, Any]:
    """Return the products and event types on offer."""
    return {"products": [shapes.product(one) for one in call.dispatcher.catalog or ()]}


@operation("GET", "/catalog/openapi.json", "getCatalogAsOpenAPI", answer="Document")
async def get_openapi(call: Call) -> dict[str, Any]:
    """Return the event types as the `webhooks` of an OpenAPI 3.1 document."""
    return (call.dispatcher.catalog or Catalog()).openapi(**_named(call))


@operation("GET", "/catalog/asyncapi.json", "getCatalogAsAsyncAPI", answer="Document")
async def get_asyncapi(call: Call) -> dict[str, Any]:
    """Return the event types as an AsyncAPI 3 document."""
    return (call.dispatcher.catalog or Catalog()).asyncapi(**_named(call))


def _named(call: Call) -> dict[str, str]:
    return {"title": call.settings.branding.title, "header_prefix": call.dispatcher.settings.names.prefix}


@operation("GET", "/sender", "getSender", answer="Sender")
async def get_sender(call: Call) -> dict[str, Any]:
    """Return the IP addresses that requests come from, for allow-lists."""
    return {"egress_ips": list(call.dispatcher.egress_ips)}


@operation("GET", "/viewer", "getViewer", answer="Viewer", permission=None)
async def get_viewer(call: Call) -> dict[str, Any]:
    """Return who you are here, and what you may do."""
    permissions = sorted(call.viewer.permissions)
    return {"tenant": call.tenant, "name": call.viewer.name, "permissions": [str(one) for one in permissions]}


@operation("GET", "/usage", "getUsage", answer="Usage")
async def get_usage(call: Call) -> dict[str, Any]:
    """Return your usage, including the last 24 hours. Stored bytes are an estimate."""
    return attrs.asdict(await call.dispatcher.ausage(call.tenant))
