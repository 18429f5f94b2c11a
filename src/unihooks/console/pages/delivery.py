"""Show one delivery: the requests, the responses, why it failed, and what can be done about it."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.log import Attempt, Delivery, DeliveryState
from unihooks._model.webhooks import Webhook
from unihooks.console._access import Form, action, view
from unihooks.console._explain import Explanation, explain, explain_attempt
from unihooks.console._readable import SignatureCheck, check_signature, curl, readable, shown
from unihooks.console._rendering import go_to, off_the_loop, refuse, rendered, settings_of, viewer_of
from unihooks.console._titles import titles
from unihooks.console._viewers import Permission
from unihooks.exceptions import NotFound


@frozen(kw_only=True)
class ShownAttempt:
    """An attempt as the page shows it: everything is text."""

    attempt: Attempt
    why: Explanation | None
    request_headers: tuple[tuple[str, str], ...]
    response_headers: tuple[tuple[str, str], ...]
    answer: str
    signature: SignatureCheck | None
    curl: str


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show the delivery and its attempts."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    delivery = await dispatcher.log.adelivery(request.path_params["delivery_id"], tenant=tenant)
    webhook, body, attempts = await asyncio.gather(
        _webhook_of(request, delivery),
        dispatcher.log.abody(delivery.id, tenant=tenant),
        dispatcher.log.aattempts(delivery.id, tenant=tenant, cursor=request.query_params.get("cursor")),
    )
    return await off_the_loop(
        _shown,
        request,
        body=body,
        delivery=delivery,
        webhook=webhook,
        endpoint=webhook.endpoint(delivery.endpoint_id) if webhook else None,
        page=attempts,
        why=explain(delivery, attempts[0] if attempts else None),
        cursor_link=lambda cursor: f"?cursor={cursor}",
        may_cancel=delivery.state is DeliveryState.PENDING,
        title=titles(dispatcher.catalog)(delivery),
    )


def _shown(request: Request, *, body: bytes, **values: Any) -> Response:
    attempts = [shown_attempt(one, body, values["webhook"]) for one in values["page"]]
    return rendered(request, "delivery.html", body=readable(body), attempts=attempts, **values)


@action(Permission.SEND)
async def replay(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Send the same content again, as a new delivery."""
    settings, tenant = settings_of(request), viewer_of(request).tenant
    wait = settings.rates.replays.take(tenant)
    if wait:
        return too_many(request, wait)
    delivery = await settings.dispatcher.log.areplay(request.path_params["delivery_id"], tenant=tenant)
    return go_to(request, "delivery", done="replayed", delivery_id=delivery.id)


@action(Permission.SEND)
async def cancel(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Make no further attempt."""
    log, tenant = settings_of(request).dispatcher.log, viewer_of(request).tenant
    delivery = await log.acancel(request.path_params["delivery_id"], tenant=tenant)
    return go_to(request, "delivery", done="cancelled", delivery_id=delivery.id)


def too_many(request: Request, wait: float) -> Response:
    """Refuse a tenant that has caused too many requests in a short time."""
    answer = refuse(request, 429)
    answer.headers["retry-after"] = str(int(wait) + 1)
    return answer


async def _webhook_of(request: Request, delivery: Delivery) -> Webhook | None:
    try:
        return await settings_of(request).dispatcher.webhooks.aget(
            delivery.webhook_id, tenant=viewer_of(request).tenant
        )
    except NotFound:
        return None


def shown_attempt(attempt: Attempt, body: bytes, webhook: Webhook | None) -> ShownAttempt:
    """Return an attempt as pages show it."""
    return ShownAttempt(
        attempt=attempt,
        why=explain_attempt(attempt),
        request_headers=_pairs(attempt.request_headers),
        response_headers=_pairs(attempt.response_headers),
        answer=readable(attempt.response_body),
        signature=check_signature(attempt, body, webhook),
        curl=curl(attempt.url, attempt.request_headers, body),
    )


def _pairs(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((shown(name), shown(value)) for name, value in headers)


ROUTES = [
    Route("/deliveries/{delivery_id}", show, name="delivery"),
    Route("/deliveries/{delivery_id}/replay", replay, methods=["POST"], name="replay"),
    Route("/deliveries/{delivery_id}/cancel", cancel, methods=["POST"], name="cancel"),
]
