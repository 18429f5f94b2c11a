"""Manage webhooks and their secrets; show their health and activity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from unihooks._message.conditions import Condition
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._model.endpoints import has_new_origin
from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook
from unihooks.console.api import shapes
from unihooks.console.api.operations import PAGING, Call, operation
from unihooks.console.api.pages import paging, sized_page
from unihooks.console.api.problems import forbidden, invalid
from unihooks.console.api.reading import Query
from unihooks.console.api.schemas import BOOLEAN, HEALTHS, TEXT
from unihooks.console.api.webhook_checks import examine_webhook
from unihooks.console.host.viewers import Permission
from unihooks.console.http.rendering import off_the_loop

_ONE = "/webhooks/{webhook_id}"
_LIST_QUERY = (
    Query(name="status", about="Only these.", schema={"type": "string", "enum": ["active", "inactive"]}),
    Query(
        name="search", about="A part of the name, the description, a URL or the metadata, ignoring case.", schema=TEXT
    ),
    Query(
        name="health",
        about="Only those with an endpoint in this state at its last attempt; of a `healthy` one, none is worse.",
        schema={"type": "string", "enum": HEALTHS},
    ),
    Query(name="sort", about="The order.", schema={"type": "string", "enum": ["newest", "oldest", "name", "health"]}),
    Query(name="with_health", about="Include the health of each webhook.", schema=BOOLEAN),
    *PAGING,
)
_HOURS = Query(
    name="hours", about="How far to look back; 24 by default.", schema={"type": "integer", "minimum": 1, "maximum": 720}
)
_switch = partial(operation, "POST", body="Nothing", permission=Permission.WRITE, keyed=True, versioned=True)


@operation("GET", "/webhooks", "listWebhooks", answer="WebhookPage", query=_LIST_QUERY)
async def list_webhooks(call: Call) -> dict[str, Any]:
    """List webhooks. A page ends at 1 MB."""
    filters, where = paging({name: value for name, value in call.query.items() if name != "with_health"})
    listing = partial(call.dispatcher.webhooks.list, tenant=call.tenant, **filters)
    page = await sized_page(listing, shapes.webhook, **where, rising=filters.get("sort") in ("oldest", "name"))
    if call.query.get("with_health"):
        health = await call.dispatcher.webhooks.ahealth([one["id"] for one in page["items"]], tenant=call.tenant)
        # With 250 of them, each with its hours, this takes a while.
        shown = await off_the_loop(lambda: {name: shapes.shown(one) for name, one in health.items()})
        for item in page["items"]:
            item.update({"health": shown[item["id"]]} if item["id"] in shown else {})
    return page


@operation(
    "POST",
    "/webhooks",
    "addWebhook",
    answer="WebhookCreated",
    body="WebhookGiven",
    permission=Permission.WRITE,
    status=201,
    keyed=True,
    tagged=True,
    location=_ONE.replace("webhook_id", "id"),
    examine=examine_webhook,
)
async def add_webhook(call: Call) -> dict[str, Any]:
    """Add a webhook. This response holds its signing secret, if you may see secrets."""
    made = await call.dispatcher.webhooks.aadd(await off_the_loop(_new, call.body), tenant=call.tenant)
    secret = made.secrets[0].reveal() if call.viewer.may(Permission.SECRETS) else None
    return shapes.webhook(made) | {"secret": secret}


@operation("GET", _ONE, "getWebhook", answer="Webhook", tagged=True)
async def get_webhook(call: Call) -> dict[str, Any]:
    """Return a webhook."""
    return shapes.webhook(await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant))


@operation(
    "PATCH",
    _ONE,
    "changeWebhook",
    answer="Webhook",
    body="WebhookChanges",
    permission=Permission.WRITE,
    versioned=True,
    tagged=True,
    examine=examine_webhook,
)
async def change_webhook(call: Call) -> dict[str, Any]:
    """Change a webhook. Omitted fields keep their values; endpoints, subscriptions and headers are replaced as a whole.

    An endpoint at another origin needs the permission `secrets`, or the values of all headers.
    """
    webhooks, webhook_id = call.dispatcher.webhooks, call.path["webhook_id"]
    changes = await off_the_loop(_built, call.body)
    version = call.body.get("version", call.version)
    if "headers" in call.body or ("endpoints" in call.body and not call.viewer.may(Permission.SECRETS)):
        current = await webhooks.aget(webhook_id, tenant=call.tenant)
        if "headers" in call.body:
            changes["headers"] = _headers(call.body["headers"], current.headers)
        await _check_origins(call, current, changes)
        # The values that are kept come from this version, so a newer one must be a conflict.
        version = current.version if version is None else version
    made = await webhooks.aupdate(webhook_id, tenant=call.tenant, version=version, **changes)
    return shapes.webhook(made)


@operation("DELETE", _ONE, "deleteWebhook", answer="Nothing", permission=Permission.WRITE, versioned=True)
async def delete_webhook(call: Call) -> dict[str, Any]:
    """Delete a webhook and cancel its pending deliveries. Its log stays."""
    await call.dispatcher.webhooks.adelete(call.path["webhook_id"], tenant=call.tenant, version=call.version)
    return {}


@_switch(f"{_ONE}/activate", "activateWebhook", answer="Webhook", tagged=True)
async def activate_webhook(call: Call) -> dict[str, Any]:
    """Activate a webhook. It gets later events, and held deliveries continue."""
    switch = partial(call.dispatcher.webhooks.aactivate, version=call.version)
    return shapes.webhook(await switch(call.path["webhook_id"], tenant=call.tenant))


@_switch(f"{_ONE}/deactivate", "deactivateWebhook", answer="Webhook", tagged=True)
async def deactivate_webhook(call: Call) -> dict[str, Any]:
    """Deactivate a webhook. It gets no later events, and its pending deliveries are held."""
    switch = partial(call.dispatcher.webhooks.adeactivate, version=call.version)
    return shapes.webhook(await switch(call.path["webhook_id"], tenant=call.tenant))


@_switch(f"{_ONE}/endpoints/{{endpoint_id}}/enable", "enableEndpoint", answer="Endpoint")
async def enable_endpoint(call: Call) -> dict[str, Any]:
    """Enable a disabled endpoint again. Its held deliveries continue."""
    enable = partial(call.dispatcher.webhooks.aenable_endpoint, version=call.version)
    return shapes.shown(await enable(call.path["webhook_id"], call.path["endpoint_id"], tenant=call.tenant))


@operation(
    "POST",
    f"{_ONE}/endpoints/{{endpoint_id}}/disable",
    "disableEndpoint",
    answer="Endpoint",
    body="Disabling",
    permission=Permission.WRITE,
    keyed=True,
    versioned=True,
)
async def disable_endpoint(call: Call) -> dict[str, Any]:
    """Disable an endpoint, for a reason that is shown. Its pending deliveries are held."""
    parts = {"tenant": call.tenant, "version": call.version, **call.body}
    disabling = call.dispatcher.webhooks.adisable_endpoint(call.path["webhook_id"], call.path["endpoint_id"], **parts)
    return shapes.shown(await disabling)


@operation("GET", f"{_ONE}/health", "getHealth", answer="Health")
async def get_health(call: Call) -> dict[str, Any]:
    """Return the health of a webhook. These are its endpoints, its newest delivery, and the last 24 hours."""
    webhook = await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant)
    found = await call.dispatcher.webhooks.ahealth([webhook.id], tenant=call.tenant)
    return shapes.shown(found[webhook.id])


@operation("GET", f"{_ONE}/activity", "getActivity", answer="Activity", query=(_HOURS,))
async def get_activity(call: Call) -> dict[str, Any]:
    """Return the attempts of a webhook in the last hours, with latencies."""
    webhook_id, hours = call.path["webhook_id"], call.query.get("hours", 24)
    return shapes.shown(await call.dispatcher.webhooks.aactivity(webhook_id, tenant=call.tenant, hours=hours))


@operation(
    "POST",
    f"{_ONE}/secret/reveal",
    "revealSecrets",
    answer="Secrets",
    body="Nothing",
    permission=Permission.SECRETS,
)
async def reveal_secrets(call: Call) -> dict[str, Any]:
    """Return the signing secrets. The current one first, then the previous ones that keep signing."""
    return shapes.secrets(await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant))


@operation(
    "POST",
    f"{_ONE}/secret/rotate",
    "rotateSecret",
    answer="Secret",
    body="Rotation",
    permission=Permission.SECRETS,
    keyed=True,
    versioned=True,
)
async def rotate_secret(call: Call) -> dict[str, Any]:
    """Make a new signing secret and return it. Previous secrets keep signing for 24 hours, or as long as asked."""
    made = await call.dispatcher.webhooks.arotate_secret(
        call.path["webhook_id"],
        tenant=call.tenant,
        version=call.version,
        overlap=call.body.get("overlap_seconds", 24 * 3600),
        secret=call.body.get("secret"),
    )
    return shapes.secret(made)


async def _check_origins(call: Call, current: Webhook, changes: Mapping[str, Any]) -> None:
    """Refuse to send saved values of headers elsewhere for a viewer who may not see them."""
    kept = None in call.body["headers"].values() if "headers" in call.body else bool(current.headers)
    if not kept or "endpoints" not in changes or call.viewer.may(Permission.SECRETS):
        return
    if await off_the_loop(has_new_origin, current, changes["endpoints"], call.dispatcher.webhooks.check_url):
        raise forbidden(
            "an endpoint at another origin would get the saved values of headers: it needs the permission 'secrets', "
            "or give the values of all headers again",
            "endpoints",
        )


def _new(given: Mapping[str, Any]) -> Webhook:
    headers = HeaderSet(given.get("headers", {}))
    return Webhook(**_built(given), headers=headers, status=given.get("status", "inactive"))


def _built(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the given fields."""
    built = {name: given[name] for name in ("name", "description", "ordered") if name in given}
    if "endpoints" in given:
        built["endpoints"] = [_endpoint(one) for one in given["endpoints"]]
    if "subscriptions" in given:
        built["subscriptions"] = [_subscription(one) for one in given["subscriptions"]]
    if "mapping" in given:
        built["mapping"] = mapping_of(given["mapping"])
    if "policy" in given:
        built["policy"] = DeliveryPolicy(**(given["policy"] or {}))
    return built


def _subscription(given: Mapping[str, Any]) -> EventSubscription:
    where = [Condition(**one) for one in given.get("where", ())]
    return EventSubscription(given["product"], given["event_type"], where)


def mapping_of(given: Mapping[str, Any]) -> PayloadMapping:
    """Return the mapping that a body describes."""
    return PayloadMapping(remove=given.get("remove", ()), rename=given.get("rename", {}))


def _endpoint(given: Any) -> Endpoint:
    if isinstance(given, str):
        return Endpoint(given)
    return Endpoint(**given)


def _headers(given: Mapping[str, str | None], current: HeaderSet) -> HeaderSet:
    unknown = [name for name, value in given.items() if value is None and name not in current]
    if unknown:
        raise invalid(
            f"there is no header {unknown[0]!r} whose value could be kept; give a value", f"headers.{unknown[0]}"
        )
    return HeaderSet({name: current[name] if value is None else value for name, value in given.items()})
