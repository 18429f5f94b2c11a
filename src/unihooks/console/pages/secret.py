"""Reveal and rotate the signing secret, and show how to check signatures with it."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._message.secrets import PRIVATE_PREFIX
from unihooks._message.signing import verification_key
from unihooks._model.webhooks import Webhook
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.once import leads_to
from unihooks.console.http.rendering import page, path_to, settings_of, viewer_of, webhook_of
from unihooks.console.views.snippets import SNIPPETS, chosen

_OVERLAPS = {"0": 0, "1": 1, "24": 24, "72": 72, "168": 168}


async def secret_page(request: Request, webhook: Webhook, *, rotated: bool = False, revealed: bool = False) -> Response:
    """Render the page of the secret; the secret itself only when it was rotated or asked for."""
    shown = (rotated or revealed) and viewer_of(request).may(Permission.SECRETS)
    return await page(
        request,
        "secret.html",
        webhook=webhook,
        secrets=[(verification_key(secret) if shown else None, secret) for secret in webhook.secrets],
        with_public_key=any(secret.reveal().startswith(PRIVATE_PREFIX) for secret in webhook.secrets),
        shown=shown,
        rotated=rotated,
        snippets=SNIPPETS,
        snippet=chosen(request),
        overlaps=_OVERLAPS,
        egress_ips=settings_of(request).dispatcher.egress_ips,
    )


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the ages of the secrets and the code, but no secret."""
    return await secret_page(request, await webhook_of(request))


@action(Permission.SECRETS, once=False)
async def reveal(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Show the secrets."""
    return await secret_page(request, await webhook_of(request), revealed=True)


@action(Permission.SECRETS)
async def rotate(request: Request, form: Form) -> Response:
    """Make a new secret; previous secrets keep signing for a while."""
    overlap = timedelta(hours=_OVERLAPS.get(form.get("overlap"), 24))
    webhook_id, tenant = request.path_params["webhook_id"], viewer_of(request).tenant
    await settings_of(request).dispatcher.webhooks.arotate_secret(webhook_id, tenant=tenant, overlap=overlap)
    leads_to(request, path_to(request, "secret", webhook_id=webhook_id))
    return await secret_page(request, await webhook_of(request), rotated=True)


ROUTES = [
    Route("/webhooks/{webhook_id}/secret", show, name="secret"),
    Route("/webhooks/{webhook_id}/secret/reveal", reveal, methods=["POST"], name="reveal"),
    Route("/webhooks/{webhook_id}/secret/rotate", rotate, methods=["POST"], name="rotate"),
]
