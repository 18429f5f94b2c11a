"""Show one webhook: its health, endpoints and newest deliveries; disable, enable and throttle endpoints."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import evolve
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Webhook
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import go_to, page, refusal, settings_of, viewer_of, webhook_of
from unihooks.console.pages.webhooks import back
from unihooks.console.views.overview import PERIODS, WebhookView
from unihooks.console.views.plots import chart_of
from unihooks.console.words.locale import gettext
from unihooks.console.words.sentences import told
from unihooks.console.words.titles import titles
from unihooks.exceptions import InvalidWebhook

_NEWEST = 6
_MOST_DIGITS = 20


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show how it is doing in a period, the endpoints, and the newest deliveries."""
    return await _shown(request, await webhook_of(request))


@action(Permission.WRITE)
async def enable(request: Request, form: Form) -> Response:
    """Enable a disabled endpoint again."""
    webhook_id, endpoint_id = request.path_params["webhook_id"], request.path_params["endpoint_id"]
    tenant = viewer_of(request).tenant
    await settings_of(request).dispatcher.webhooks.aenable_endpoint(webhook_id, endpoint_id, tenant=tenant)
    return back(request, form, webhook_id, "enabled")


@action(Permission.WRITE)
async def disable(request: Request, form: Form) -> Response:
    """Disable an endpoint, for the reason that the form gives."""
    webhook_id, endpoint_id = request.path_params["webhook_id"], request.path_params["endpoint_id"]
    reason = form.get("reason").strip().replace("\0", "")
    given: dict[str, Any] = {"reason": reason} if reason else {}
    webhooks, tenant = settings_of(request).dispatcher.webhooks, viewer_of(request).tenant
    try:
        await webhooks.adisable_endpoint(webhook_id, endpoint_id, tenant=tenant, **given)
    except InvalidWebhook as error:
        wrong = f"reason-{endpoint_id}", reason, told(error)
        return await _shown(request, await webhook_of(request), status=refusal(request), wrong=wrong)
    return go_to(request, "webhook", done="disabled", webhook_id=webhook_id)


@action(Permission.WRITE)
async def throttle(request: Request, form: Form) -> Response:
    """Set how many deliveries a second each endpoint of the webhook gets, or as many as usual."""
    webhook, typed = await webhook_of(request), form.get("rate").strip()[:_MOST_DIGITS]
    try:
        rate = _rate(typed)
        policy = _with_rate(webhook.policy, rate)
        webhooks = settings_of(request).dispatcher.webhooks
        await webhooks.aupdate(webhook.id, tenant=viewer_of(request).tenant, policy=policy)
    except InvalidWebhook as error:
        wrong = f"rate-{webhook.endpoints[0].id}", typed, told(error)
        return await _shown(request, webhook, status=refusal(request), wrong=wrong)
    return go_to(request, "webhook", done="unthrottled" if rate is None else "throttled", webhook_id=webhook.id)


def _rate(typed: str) -> float | None:
    if not typed:
        return None
    try:
        return float(typed.replace(",", "."))
    except ValueError:
        sentence = gettext("Enter how many deliveries per second, such as 5 or 0.5, or leave it empty.")
        raise InvalidWebhook(sentence, name="rate") from None


def _with_rate(policy: DeliveryPolicy, rate: float | None) -> DeliveryPolicy:
    """Return the policy with another rate; a burst that was chosen for the old one goes with it."""
    return evolve(policy, rate=rate, burst=policy.burst if rate is not None else None)


async def _shown(
    request: Request, webhook: Webhook, *, status: int = 200, wrong: tuple[str, str, str] | None = None
) -> Response:
    """Show the page; `wrong` is the id of a field, what was typed there, and why it is refused."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    asked = request.query_params.get("period", "")
    name = asked if asked in PERIODS else "24h"
    period = PERIODS[name]
    report, newest = await asyncio.gather(
        dispatcher.webhooks.areport(webhook.id, tenant=tenant, hours=period.hours, step=period.step),
        dispatcher.log.adeliveries(tenant=tenant, webhook_id=webhook.id, limit=_NEWEST),
    )
    failures = await dispatcher.webhooks.afailures(webhook.id, tenant=tenant, since=report.since)
    values: dict[str, Any] = {
        "webhook": webhook,
        "shown": WebhookView(webhook, report, failures, period),
        "period": name,
        "periods": PERIODS,
        "chart": chart_of({one.at: one for one in report.steps}, report.step),
        "newest": newest,
        "title_of": titles(dispatcher.catalog),
        "egress_ips": dispatcher.egress_ips,
        "wrong": wrong,
    }
    return await page(request, "webhook.html", http_status=status, **values)


ROUTES = [
    Route("/webhooks/{webhook_id}", show, name="webhook"),
    Route("/webhooks/{webhook_id}/throttle", throttle, methods=["POST"], name="throttle"),
    Route("/webhooks/{webhook_id}/endpoints/{endpoint_id}/disable", disable, methods=["POST"], name="disable"),
    Route("/webhooks/{webhook_id}/endpoints/{endpoint_id}/enable", enable, methods=["POST"], name="enable"),
]
