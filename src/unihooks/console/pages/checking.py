"""Check whether an endpoint's URL leads to a server now, without sending anything there."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.endpoints import find_endpoint
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action
from unihooks.console.http.forms import Form, to_number
from unihooks.console.http.rendering import page, settings_of, too_many, viewer_of, webhook_of
from unihooks.console.words.explanations import Explanation, explain_error
from unihooks.console.words.sentences import told
from unihooks.exceptions import LimitReached, TargetRefused

_SECOND = 1.0


@action(Permission.WRITE, once=False)
async def check_typed(request: Request, form: Form) -> Response:
    """Check a URL of a form: the one whose number the query gives, the first by default."""
    number, urls = request.query_params.get("of", "0"), form.all("endpoint_url")
    at = to_number(number, digits=3) or 0
    return await _checked(request, urls[at].strip() if at < len(urls) else "", None)


@action(Permission.SEND, once=False)
async def check_stored(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Check the URL of an endpoint."""
    webhook = await webhook_of(request)
    endpoint = find_endpoint(webhook, request.path_params["endpoint_id"])
    return await _checked(request, endpoint.url, webhook.id)


async def _checked(request: Request, url: str, webhook_id: str | None) -> Response:
    settings, tenant = settings_of(request), viewer_of(request).tenant
    if wait := settings.rates.checks.take(tenant):
        return too_many(request, wait)
    found, why = None, None
    try:
        found = await settings.dispatcher.webhooks.acheck_endpoint(url, tenant=tenant)
    except LimitReached:
        return too_many(request, _SECOND)
    except TargetRefused as error:
        why = Explanation(told(error))
    if found is not None and found.error is not None:
        why = explain_error(found.error)
    return await page(request, "check.html", url_checked=url, found=found, why=why, webhook_id=webhook_id)


ROUTES = [
    Route("/check", check_typed, methods=["POST"], name="check_typed"),
    Route(
        "/webhooks/{webhook_id}/endpoints/{endpoint_id}/check", check_stored, methods=["POST"], name="check_endpoint"
    ),
]
