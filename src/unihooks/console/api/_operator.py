"""Show an operator the state of all tenants."""

from __future__ import annotations

from typing import Any

from unihooks._model.json import to_json
from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._operations import PAGING, Call, Operation


async def overview(call: Call) -> dict[str, Any]:
    """Return the state of the queue, and the endpoints to look after."""
    found = await call.dispatcher.aoverview()
    return {
        "stats": to_json(found.stats),
        "failing": [to_json(one) for one in found.failing],
        "slowest": [to_json(one) for one in found.slowest],
    }


async def tenants(call: Call) -> dict[str, Any]:
    """List tenants."""
    return _shapes.page(await call.dispatcher.atenants(**call.query), to_json)


OPERATIONS = (
    Operation(
        method="GET",
        path="/overview",
        id="getOverview",
        about="Return the state of the queue over all tenants, and the failing and the slowest endpoints",
        permission=Permission.OPERATE,
        handle=overview,
        answer="Overview",
    ),
    Operation(
        method="GET",
        path="/tenants",
        id="listTenants",
        about="List tenants by name, with how many webhooks they have and how much is due (up to 1,000)",
        permission=Permission.OPERATE,
        handle=tenants,
        answer="TenantPage",
        query=PAGING,
    ),
)
