"""Show what is left to do once a webhook is created: copy the secret, send a test, activate it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._message.signing import verification_key
from unihooks.console.draft.kept import Drafts
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import view
from unihooks.console.http.rendering import page, settings_of, viewer_of, webhook_of


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the checklist; the secret only to who has created the webhook, and once."""
    webhook, viewer = await webhook_of(request), viewer_of(request)
    is_shown = viewer.may(Permission.SECRETS) and await Drafts.of(request).first_look(webhook.id)
    return await page(
        request,
        "ready.html",
        webhook=webhook,
        secret=verification_key(webhook.secrets[0]) if is_shown else None,
        egress_ips=settings_of(request).dispatcher.egress_ips,
    )


ROUTES = [Route("/webhooks/{webhook_id}/ready", show, name="ready")]
