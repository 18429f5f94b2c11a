"""Show an operator the state of all tenants."""

from __future__ import annotations

from typing import Any

import attrs

from unihooks.console.api import shapes
from unihooks.console.api.operations import PAGING, Call, operation
from unihooks.console.api.reading import Query
from unihooks.console.api.schemas import TEXT
from unihooks.console.api.shapes import to_json
from unihooks.console.host.viewers import Permission


@operation("GET", "/overview", "getOverview", answer="Overview", permission=Permission.OPERATE)
async def get_overview(call: Call) -> dict[str, Any]:
    """Return the state of the queue over all tenants, the failing and the slowest endpoints, and the last 24 hours."""
    found = await call.dispatcher.aoverview()
    return {
        "stats": to_json(found.stats),
        "failing": [to_json(one) for one in found.failing],
        "slowest": [to_json(one) for one in found.slowest],
        "trends": to_json(found.trends),
    }


@operation("GET", "/tenants", "listTenants", answer="TenantPage", permission=Permission.OPERATE, query=PAGING)
async def list_tenants(call: Call) -> dict[str, Any]:
    """List tenants by name, each with its number of webhooks and of due deliveries (counted up to 1,000)."""
    return shapes.page(await call.dispatcher.atenants(**call.query), to_json)


@operation(
    "GET",
    "/tenants/usage",
    "getUsageOfTenant",
    answer="Usage",
    permission=Permission.OPERATE,
    query=(Query(name="tenant", about="Whose usage.", schema=TEXT | {"minLength": 1, "maxLength": 256}),),
)
async def get_usage_of_tenant(call: Call) -> dict[str, Any]:
    """Return the usage of a tenant, including the last 24 hours, by default your own. Stored bytes are an estimate."""
    return attrs.asdict(await call.dispatcher.ausage(call.query.get("tenant", call.tenant)))
