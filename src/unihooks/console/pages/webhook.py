"""Show one webhook."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console._access import view
from unihooks.console._health import WebhookRow
from unihooks.console._rendering import page, settings_of, viewer_of
from unihooks.console._viewers import Permission


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show how the webhook does, and its newest deliveries."""
    tenant = viewer_of(request).tenant
    webhook = await settings_of(request).dispatcher.webhooks.aget(request.path_params["webhook_id"], tenant=tenant)
    return page(request, "webhook.html", webhook=webhook, row=WebhookRow(webhook))


ROUTES = [Route("/webhooks/{webhook_id}", show, name="webhook")]
