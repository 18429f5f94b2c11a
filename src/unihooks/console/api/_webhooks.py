"""Manage webhooks: list, add, change, switch, delete; their health and activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook
from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._operations import PAGING, Call, Operation
from unihooks.console.api._problems import invalid
from unihooks.console.api._reading import Query
from unihooks.console.api._schemas import BOOLEAN, TEXT

_ONE = "/webhooks/{webhook_id}"


async def listed(call: Call) -> dict[str, Any]:
    """List webhooks."""
    narrow = {name: value for name, value in call.query.items() if name != "with_health"}
    found = await call.dispatcher.webhooks.alist(tenant=call.tenant, **narrow)
    page = _shapes.page(found, _shapes.webhook)
    if call.query.get("with_health"):
        health = await call.dispatcher.webhooks.ahealth([one.id for one in found], tenant=call.tenant)
        for item in page["items"]:
            item.update({"health": _shapes.shown(health[item["id"]])} if item["id"] in health else {})
    return page


async def got(call: Call) -> dict[str, Any]:
    """Return one webhook."""
    return _shapes.webhook(await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant))


async def added(call: Call) -> dict[str, Any]:
    """Add a webhook; its secret is shown to who may see secrets."""
    given = dict(call.body)
    headers = HeaderSet(given.pop("headers", {}))
    webhook = Webhook(**_built(given), headers=headers, status=given.get("status", "inactive"))
    made = await call.dispatcher.webhooks.aadd(webhook, tenant=call.tenant)
    secret = made.secrets[0].reveal() if call.viewer.may(Permission.SECRETS) else None
    return _shapes.webhook(made) | {"secret": secret}


async def changed(call: Call) -> dict[str, Any]:
    """Change what is given; the rest stays."""
    webhooks, webhook_id = call.dispatcher.webhooks, call.path["webhook_id"]
    changes = _built(call.body)
    version = call.body.get("version")
    if "headers" in call.body:
        current = await webhooks.aget(webhook_id, tenant=call.tenant)
        changes["headers"] = _headers(call.body["headers"], current.headers)
        # The values that are kept are those of this version.
        version = current.version if version is None else version
    made = await webhooks.aupdate(webhook_id, tenant=call.tenant, version=version, **changes)
    return _shapes.webhook(made)


async def deleted(call: Call) -> dict[str, Any]:
    """Delete a webhook."""
    await call.dispatcher.webhooks.adelete(call.path["webhook_id"], tenant=call.tenant)
    return {}


async def activated(call: Call) -> dict[str, Any]:
    """Switch a webhook on."""
    return _shapes.webhook(await call.dispatcher.webhooks.aactivate(call.path["webhook_id"], tenant=call.tenant))


async def deactivated(call: Call) -> dict[str, Any]:
    """Switch a webhook off."""
    return _shapes.webhook(await call.dispatcher.webhooks.adeactivate(call.path["webhook_id"], tenant=call.tenant))


async def enabled(call: Call) -> dict[str, Any]:
    """Enable an endpoint."""
    webhook_id, endpoint_id = call.path["webhook_id"], call.path["endpoint_id"]
    return _shapes.shown(await call.dispatcher.webhooks.aenable_endpoint(webhook_id, endpoint_id, tenant=call.tenant))


async def health(call: Call) -> dict[str, Any]:
    """Return how a webhook does."""
    webhook = await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant)
    found = await call.dispatcher.webhooks.ahealth([webhook.id], tenant=call.tenant)
    return _shapes.shown(found[webhook.id])


async def activity(call: Call) -> dict[str, Any]:
    """Return what a webhook was sent."""
    webhook_id, hours = call.path["webhook_id"], call.query.get("hours", 24)
    return _shapes.shown(await call.dispatcher.webhooks.aactivity(webhook_id, tenant=call.tenant, hours=hours))


def _built(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the fields that are given."""
    built = {name: given[name] for name in ("name", "description") if name in given}
    if "endpoints" in given:
        built["endpoints"] = [_endpoint(one) for one in given["endpoints"]]
    if "subscriptions" in given:
        built["subscriptions"] = [
            EventSubscription(one["product"], one["event_type"]) for one in given["subscriptions"]
        ]
    if "mapping" in given:
        built["mapping"] = mapping_of(given["mapping"])
    return built


def mapping_of(given: Mapping[str, Any]) -> PayloadMapping:
    """Return the mapping of a body."""
    return PayloadMapping(remove=given.get("remove", ()), rename=given.get("rename", {}))


def _endpoint(given: Any) -> Endpoint:
    if isinstance(given, str):
        return Endpoint(given)
    return Endpoint(given["url"], id=given.get("id", ""), description=given.get("description", ""))


def _headers(given: Mapping[str, str | None], current: HeaderSet) -> HeaderSet:
    unknown = [name for name, value in given.items() if value is None and name not in current]
    if unknown:
        raise invalid(f"there is no header {unknown[0]!r} whose value could be kept; give one", f"headers.{unknown[0]}")
    return HeaderSet({name: current[name] if value is None else value for name, value in given.items()})


OPERATIONS = (
    Operation(
        method="GET",
        path="/webhooks",
        id="listWebhooks",
        about="List webhooks",
        permission=Permission.READ,
        handle=listed,
        answer="WebhookPage",
        query=(
            Query(name="status", about="Only these.", schema={"type": "string", "enum": ["active", "inactive"]}),
            Query(name="search", about="What name, description or a URL holds, ignoring case.", schema=TEXT),
            Query(
                name="health",
                about="`failing`: an endpoint's last attempt failed; `healthy`: none did.",
                schema={"type": "string", "enum": ["failing", "healthy"]},
            ),
            Query(name="sort", about="The order.", schema={"type": "string", "enum": ["newest", "oldest", "name"]}),
            Query(name="with_health", about="Tell of each webhook's health too.", schema=BOOLEAN),
            *PAGING,
        ),
    ),
    Operation(
        method="POST",
        path="/webhooks",
        id="addWebhook",
        about="Add a webhook; this answer holds its signing secret, if you may see secrets",
        permission=Permission.WRITE,
        handle=added,
        answer="WebhookCreated",
        body="WebhookGiven",
        status=201,
        once=True,
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="getWebhook",
        about="Return a webhook",
        permission=Permission.READ,
        handle=got,
        answer="Webhook",
    ),
    Operation(
        method="PATCH",
        path=_ONE,
        id="changeWebhook",
        about="Change a webhook: what is left out stays; endpoints, subscriptions and headers are given whole",
        permission=Permission.WRITE,
        handle=changed,
        answer="Webhook",
        body="WebhookChanges",
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        id="deleteWebhook",
        about="Delete a webhook and cancel its pending deliveries; its log stays",
        permission=Permission.WRITE,
        handle=deleted,
        answer="Nothing",
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/activate",
        id="activateWebhook",
        about="Switch a webhook on: later events are for it, and what was held goes on",
        permission=Permission.WRITE,
        handle=activated,
        answer="Webhook",
        body="Nothing",
        once=True,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/deactivate",
        id="deactivateWebhook",
        about="Switch a webhook off: later events are not for it, and what is pending is held",
        permission=Permission.WRITE,
        handle=deactivated,
        answer="Webhook",
        body="Nothing",
        once=True,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/endpoints/{{endpoint_id}}/enable",
        id="enableEndpoint",
        about="Put a disabled endpoint back; what was held for it goes on",
        permission=Permission.WRITE,
        handle=enabled,
        answer="Endpoint",
        body="Nothing",
        once=True,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/health",
        id="getHealth",
        about="Return how a webhook does: endpoints, newest delivery, the last 24 hours",
        permission=Permission.READ,
        handle=health,
        answer="Health",
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/activity",
        id="getActivity",
        about="Return what a webhook was sent in the last hours, with latencies",
        permission=Permission.READ,
        handle=activity,
        answer="Activity",
        query=(
            Query(
                name="hours",
                about="How far to look back; 24.",
                schema={"type": "integer", "minimum": 1, "maximum": 720},
            ),
        ),
    ),
)
