"""Send test events, and preview the result of a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unihooks._message.mapping import Preview
from unihooks.console.api import shapes
from unihooks.console.api.operations import Call, operation, sending
from unihooks.console.api.problems import invalid, too_many
from unihooks.console.api.webhooks import mapping_of
from unihooks.console.host.rates import MOST_TESTED
from unihooks.console.http.rendering import off_the_loop


@sending("/webhooks/{webhook_id}/test", "sendTest", answer="Tested", body="Test")
async def send_test(call: Call) -> dict[str, Any]:
    """Send one signed, mapped request to each endpoint, or to one, and return the responses. Nothing is kept."""
    webhook = await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant)
    count = len(webhook.endpoints) if "endpoint_id" not in call.body else 1
    if count > MOST_TESTED:
        raise invalid(f"the webhook has {count} endpoints; choose one by its id", "endpoint_id")
    if wait := call.settings.rates.tests.take(call.tenant, count):
        raise too_many(wait)
    attempts = await call.dispatcher.webhooks.asend_test(webhook.id, tenant=call.tenant, **call.body)
    return {"attempts": [shapes.shown(one) for one in attempts]}


@operation("POST", "/webhooks/{webhook_id}/preview", "previewMapping", answer="Preview", body="PayloadGiven")
async def preview_mapping(call: Call) -> dict[str, Any]:
    """Show the result of a webhook's mapping for a payload, and which conditions of its subscriptions hold."""
    return _shown(await call.dispatcher.webhooks.apreview(call.path["webhook_id"], tenant=call.tenant, **call.body))


@operation("POST", "/mapping/preview", "tryMapping", answer="Preview", body="MappingTried")
async def try_mapping(call: Call) -> dict[str, Any]:
    """Show the result of a mapping for a payload, before it is saved."""
    return await off_the_loop(_tried, call.body["mapping"], call.body["payload"])


def _tried(mapping: Mapping[str, Any], payload: Any) -> dict[str, Any]:
    return _shown(mapping_of(mapping).preview(payload))


def _shown(preview: Preview) -> dict[str, Any]:
    return {
        "result": preview.result,
        "unmatched": list(preview.unmatched),
        "warnings": list(preview.warnings),
        "conditions": [{"condition": one.parts(), "holds": holds} for one, holds in preview.conditions],
    }
