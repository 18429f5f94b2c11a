"""Show one webhook: its activity, its endpoints and its newest deliveries."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console._access import Form, action, view
from unihooks.console._health import WebhookRow
from unihooks.console._plots import bars_of_activity, scale_of, widths_of
from unihooks.console._rendering import go_to, page, settings_of, viewer_of, webhook_of
from unihooks.console._titles import titles
from unihooks.console._viewers import Permission

_HOURS = {"1h": 1, "24h": 24, "7d": 168}
_NEWEST = 6
_MOST_REASON = 200


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the statistics of a period, the endpoints, and the newest deliveries."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    webhook = await webhook_of(request)
    asked = request.query_params.get("period", "")
    period = asked if asked in _HOURS else "24h"
    activity, health, newest = await asyncio.gather(
        dispatcher.webhooks.aactivity(webhook.id, tenant=tenant, hours=_HOURS[period]),
        dispatcher.webhooks.ahealth([webhook.id], tenant=tenant),
        dispatcher.log.adeliveries(tenant=tenant, webhook_id=webhook.id, limit=_NEWEST),
    )
    return await page(
        request,
        "webhook.html",
        webhook=webhook,
        row=WebhookRow(webhook, health.get(webhook.id)),
        period=period,
        periods=_HOURS,
        activity=activity,
        bars=bars_of_activity(activity),
        scale=scale_of(activity),
        widths=widths_of(activity),
        newest=newest,
        title_of=titles(dispatcher.catalog),
        egress_ips=dispatcher.egress_ips,
    )


@action(Permission.WRITE)
async def enable(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Enable a disabled endpoint again."""
    webhook_id, endpoint_id = request.path_params["webhook_id"], request.path_params["endpoint_id"]
    tenant = viewer_of(request).tenant
    await settings_of(request).dispatcher.webhooks.aenable_endpoint(webhook_id, endpoint_id, tenant=tenant)
    return go_to(request, "webhook", done="enabled", webhook_id=webhook_id)


@action(Permission.WRITE)
async def disable(request: Request, form: Form) -> Response:
    """Disable an endpoint, for the reason that the form gives."""
    webhook_id, endpoint_id = request.path_params["webhook_id"], request.path_params["endpoint_id"]
    reason = form.get("reason").strip().replace("\0", "")[:_MOST_REASON]
    given: dict[str, Any] = {"reason": reason} if reason else {}
    tenant = viewer_of(request).tenant
    await settings_of(request).dispatcher.webhooks.adisable_endpoint(webhook_id, endpoint_id, tenant=tenant, **given)
    return go_to(request, "webhook", done="disabled", webhook_id=webhook_id)


ROUTES = [
    Route("/webhooks/{webhook_id}", show, name="webhook"),
    Route("/webhooks/{webhook_id}/endpoints/{endpoint_id}/disable", disable, methods=["POST"], name="disable"),
    Route("/webhooks/{webhook_id}/endpoints/{endpoint_id}/enable", enable, methods=["POST"], name="enable"),
]
