"""Turn values into the API's answers: without tenants and header values, and without secrets unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from unihooks._management.paging import Page
from unihooks._message.secrets import Secret
from unihooks._message.signing import verification_key
from unihooks._model.products import EventType, Product
from unihooks._model.webhooks import Webhook
from unihooks.console.api.json import to_json

T = TypeVar("T")
_NOT_SHOWN = ("tenant", "secrets", "headers")


def shown(value: Any) -> dict[str, Any]:
    """Return a value without its tenant, which the caller knows."""
    found: dict[str, Any] = to_json(value)
    return {name: one for name, one in found.items() if name != "tenant"}


def page(found: Page[T], shape: Callable[[T], dict[str, Any]] = shown) -> dict[str, Any]:
    """Return one page of a listing."""
    return {"items": [shape(item) for item in found], "next": found.next, "previous": found.previous}


def webhook(value: Webhook) -> dict[str, Any]:
    """Return a webhook, with the names of its headers but without their values."""
    found = {name: one for name, one in to_json(value).items() if name not in _NOT_SHOWN}
    return found | {
        "headers": dict.fromkeys(value.headers),
        "activated_at": to_json(value.activated_at),
        "deactivated_at": to_json(value.deactivated_at),
    }


def secret(value: Secret) -> dict[str, Any]:
    """Return the key that checks signatures, in plain text: of a key pair only the public half."""
    return {
        "secret": verification_key(value),
        "created_at": to_json(value.created_at),
        "expires_at": to_json(value.expires_at),
    }


def secrets(value: Webhook) -> dict[str, Any]:
    """Return a webhook's secrets in plain text: the current one, then `previous`."""
    current, *previous = [secret(one) for one in value.secrets]
    return current | {"previous": previous}


def product(value: Product) -> dict[str, Any]:
    """Return a product with its event types."""
    return {
        "name": value.name,
        "title": value.title,
        "description": value.description,
        "event_types": [_event_type(one) for one in value],
    }


def _event_type(value: EventType) -> dict[str, Any]:
    return {
        "name": value.name,
        "title": value.title,
        "description": value.description,
        "schema": value.schema,
        "example": value.example,
    }
