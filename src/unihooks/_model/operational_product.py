"""The product `webhooks` of the catalog, to which operational events belong."""

from __future__ import annotations

from typing import Any

from unihooks._model.operational_events import (
    DELIVERY_FAILED,
    ENDPOINT_DISABLED,
    ENDPOINT_FAILING,
    ENDPOINT_RECOVERED,
    PRODUCT,
    SECRET_ROTATED,
    WEBHOOK_ACTIVATED,
    WEBHOOK_CREATED,
    WEBHOOK_DEACTIVATED,
    WEBHOOK_DELETED,
    WEBHOOK_UPDATED,
)
from unihooks._model.products import EventType, Product

_ID = "01jdr5x8k2qv7n3m4p6t9w0y1z"
_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}


def _named(about: str, /, **example: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of an object, all of whose properties are there, and its example."""
    properties = {name: {"type": "integer"} if isinstance(one, int) else _TEXT for name, one in example.items()}
    return {"type": "object", "description": about, "properties": properties, "required": list(properties)}, example


_AT = ({**_TIME, "description": "When it happened."}, "2026-11-30T12:00:00+00:00")
_NAMED_WEBHOOK = _named("The webhook concerned.", id=f"wh_{_ID}", name="CRM sync")
_WEBHOOK = _named("The webhook after the change.", id=f"wh_{_ID}", name="CRM sync", status="active", version=3)
_WEBHOOK[0]["properties"]["status"] = {"type": "string", "enum": ["active", "inactive"]}
_INACTIVE = (_WEBHOOK[0], _WEBHOOK[1] | {"status": "inactive"})
_ENDPOINT = _named(
    "The endpoint; `origin` is its URL up to the path.",
    id=f"ep_{_ID}",
    origin="https://crm.example.com",
    description="production",
)
_DELIVERY = _named(
    "The delivery, and the event that did not arrive.",
    id=f"dlv_{_ID}",
    event_id=f"evt_{_ID}",
    product="shop",
    event_type="order.paid",
    attempts=10,
)
_STATUS = {"type": ["integer", "null"], "description": "The status of the last response, null if there was none."}
_REASON = {"type": ["string", "null"], "description": "Why, in a sentence."}
_FAILED = {"reason": (_REASON, "the endpoint returned 503"), "status_code": (_STATUS, 503)}
_OF_ENDPOINT = {"at": _AT, "webhook": _NAMED_WEBHOOK, "endpoint": _ENDPOINT, **_FAILED}
_OF_WEBHOOK = {"at": _AT, "webhook": _WEBHOOK}
_CHANGED = (
    {"type": "array", "items": _TEXT, "description": "The settings that were changed."},
    ["name", "subscriptions"],
)
_UNTIL = (
    {**_TIME, "type": ["string", "null"], "description": "The time until which previous secrets keep signing."},
    "2026-12-01T12:00:00+00:00",
)


def _event(name: str, title: str, description: str, facts: dict[str, tuple[Any, Any]]) -> EventType:
    schema, example = _named(description, **{key: value for key, (_, value) in facts.items()})
    schema["properties"] = {key: part for key, (part, _) in facts.items()}
    return EventType(product=PRODUCT, name=name, title=title, description=description, schema=schema, example=example)


_EVENTS = [
    _event(
        ENDPOINT_FAILING,
        "Endpoint failing",
        "Most recent requests to an endpoint have failed. Reported at most once in 10 minutes.",
        _OF_ENDPOINT,
    ),
    _event(
        ENDPOINT_RECOVERED,
        "Endpoint recovered",
        "An endpoint that was failing is healthy again.",
        _OF_ENDPOINT | {"reason": (_REASON, None), "status_code": (_STATUS, 200)},
    ),
    _event(
        ENDPOINT_DISABLED,
        "Endpoint disabled",
        "An endpoint was disabled, by hand, by a 410, or after five days of failures. Nothing is sent to it.",
        _OF_ENDPOINT | {"reason": (_REASON, "the endpoint returned 410 Gone"), "status_code": (_STATUS, 410)},
    ),
    _event(
        DELIVERY_FAILED,
        "Delivery failed",
        "A delivery has failed for good: there are no more attempts.",
        {"at": _AT, "webhook": _NAMED_WEBHOOK, "endpoint": _ENDPOINT, "delivery": _DELIVERY, **_FAILED},
    ),
    _event(WEBHOOK_CREATED, "Webhook created", "A webhook was added.", _OF_WEBHOOK),
    _event(
        WEBHOOK_UPDATED, "Webhook changed", "Settings of a webhook were changed.", _OF_WEBHOOK | {"changed": _CHANGED}
    ),
    _event(WEBHOOK_ACTIVATED, "Webhook activated", "A webhook was activated.", _OF_WEBHOOK),
    _event(WEBHOOK_DEACTIVATED, "Webhook deactivated", "A webhook was deactivated.", {"at": _AT, "webhook": _INACTIVE}),
    _event(WEBHOOK_DELETED, "Webhook deleted", "A webhook was deleted.", _OF_WEBHOOK),
    _event(
        SECRET_ROTATED,
        "Signing secret rotated",
        "A webhook has a new signing secret.",
        _OF_WEBHOOK | {"previous_until": _UNTIL},
    ),
]

OPERATIONAL = Product(
    name=PRODUCT,
    title="Webhooks",
    description="Events about your webhooks themselves.",
    events={one.name: one for one in _EVENTS},
)
