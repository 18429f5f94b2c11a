"""List webhooks; activate, deactivate and delete them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.health import HealthState
from unihooks.console.draft.kept import Drafts
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import go_to, page, path_to, redirect, settings_of, viewer_of, webhook_of
from unihooks.console.views.delivery_filters import unpacked
from unihooks.console.views.health import WebhookRow
from unihooks.console.words.titles import titles

_PER_PAGE = 20
_SORTS = ("health", "newest", "oldest", "name")
_STATUSES = ("active", "inactive")
# The choice "failing" includes what is degraded: both need attention.
_HEALTHS: dict[str, dict[str, Any]] = {
    "failing": {"health": (HealthState.FAILING, HealthState.DEGRADED)},
    "degraded": {"health": HealthState.DEGRADED},
    "disabled": {"health": HealthState.DISABLED},
    "healthy": {"health": HealthState.HEALTHY, "attempted": True},
    "none": {"health": HealthState.HEALTHY, "attempted": False},
}
_MOST_COUNTED = 10_000
_LONGEST_SEARCH = 200
_ID = re.compile(r"[0-9A-Za-z_]{1,64}")


def back(request: Request, form: Form, webhook_id: str, done: str) -> Response:
    """Lead back to where a form about a webhook was: the list, a delivery, or the webhook's own page."""
    delivery_id = form.get("delivery")
    if _ID.fullmatch(delivery_id):
        where, place = path_to(request, "delivery", delivery_id=delivery_id), form.get("in")
        return redirect(request, f"{where}?{urlencode({'in': place})}" if unpacked(place) else where, done=done)
    if form.get("from") == "list":
        return go_to(request, "webhooks", done=done)
    return go_to(request, "webhook", done=done, webhook_id=webhook_id)


@view(Permission.READ)
async def show(request: Request) -> Response:
    """Show a page of the list, filtered and sorted as asked."""
    query, tenant = request.query_params, viewer_of(request).tenant
    status, sort = _one_of(query, "status", _STATUSES), _one_of(query, "sort", _SORTS) or _SORTS[0]
    health = _one_of(query, "health", tuple(_HEALTHS))
    search = (typed := query.get("search", ""))[:_LONGEST_SEARCH]
    webhooks = settings_of(request).dispatcher.webhooks
    found = await webhooks.alist(
        tenant=tenant,
        status=status,
        **_HEALTHS.get(health or "", {}),
        search=search.replace("\0", "") or None,
        sort=sort,
        limit=_PER_PAGE,
        cursor=query.get("cursor"),
    )
    known = await webhooks.ahealth([one.id for one in found], tenant=tenant)
    is_filtered = bool(search or status or health or query.get("cursor"))
    is_offered = not is_filtered and viewer_of(request).may(Permission.WRITE)
    filters: dict[str, Any] = {"search": search, "status": status or "", "health": health or "", "sort": sort}
    return await page(
        request,
        "webhooks.html",
        page=found,
        rows=[WebhookRow(one, known.get(one.id)) for one in found],
        filtered=is_filtered,
        longest=_LONGEST_SEARCH if search != typed else None,
        drafts=await Drafts.of(request).all() if is_offered else [],
        title_of=titles(settings_of(request).dispatcher.catalog),
        cursor_link=lambda cursor: f"{path_to(request, 'webhooks')}?{urlencode({**filters, 'cursor': cursor})}",
        **filters,
    )


@action(Permission.WRITE)
async def activate(request: Request, form: Form) -> Response:
    """Activate a webhook."""
    webhook_id = request.path_params["webhook_id"]
    await settings_of(request).dispatcher.webhooks.aactivate(webhook_id, tenant=viewer_of(request).tenant)
    return back(request, form, webhook_id, "activated")


@action(Permission.WRITE)
async def deactivate(request: Request, form: Form) -> Response:
    """Deactivate a webhook."""
    webhook_id = request.path_params["webhook_id"]
    await settings_of(request).dispatcher.webhooks.adeactivate(webhook_id, tenant=viewer_of(request).tenant)
    return back(request, form, webhook_id, "deactivated")


@view(Permission.WRITE)
async def ask_delete(request: Request) -> Response:
    """Say what would be lost, and ask for confirmation."""
    dispatcher, tenant = settings_of(request).dispatcher, viewer_of(request).tenant
    webhook = await webhook_of(request)
    pending = await dispatcher.log.acount(tenant=tenant, webhook_id=webhook.id, state="pending", most=_MOST_COUNTED)
    return await page(request, "delete.html", webhook=webhook, pending=pending, most=_MOST_COUNTED)


@action(Permission.WRITE)
async def delete(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Delete a webhook."""
    webhook_id, tenant = request.path_params["webhook_id"], viewer_of(request).tenant
    await settings_of(request).dispatcher.webhooks.adelete(webhook_id, tenant=tenant)
    return go_to(request, "webhooks", done="deleted")


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    value = query.get(name)
    return value if value in known else None


ROUTES = [
    Route("/", show, name="webhooks"),
    Route("/webhooks/{webhook_id}/activate", activate, methods=["POST"], name="activate"),
    Route("/webhooks/{webhook_id}/deactivate", deactivate, methods=["POST"], name="deactivate"),
    Route("/webhooks/{webhook_id}/delete", ask_delete, methods=["GET"], name="delete"),
    Route("/webhooks/{webhook_id}/delete", delete, methods=["POST"], name="do_delete"),
]
