"""Turn values into the API's responses: without tenants and header values, and without secrets unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from unihooks._management.paging import Page
from unihooks._message.conditions import Condition
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.secrets import MASK, Secret
from unihooks._message.signing import verification_key
from unihooks._model.log import Event
from unihooks._model.products import EventType, Product
from unihooks._model.webhooks import Endpoint, Webhook

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return JSON data (dicts, lists, text, numbers, None) for a value; secrets become `"***"`, header values null.

    Times become ISO 8601 text; bytes become text, in which what is not UTF-8 is escaped.
    """
    return _converter.unstructure(value)


def shown(value: Any) -> dict[str, Any]:
    """Return a value without its tenant, which the caller knows."""
    found: dict[str, Any] = to_json(value)
    return {name: one for name, one in found.items() if name != "tenant"}


def page(found: Page[T], shape: Callable[[T], dict[str, Any]] = shown) -> dict[str, Any]:
    """Return one page of a listing."""
    return {"items": [shape(item) for item in found], "next": found.next, "previous": found.previous}


def webhook(value: Webhook) -> dict[str, Any]:
    """Return a webhook, with the names of its headers but without their values."""
    times: dict[str, Any] = to_json({"activated_at": value.activated_at, "deactivated_at": value.deactivated_at})
    return shown(value) | times


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


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(Secret, lambda _: MASK)
    converter.register_unstructure_hook(HeaderSet, dict.fromkeys)
    converter.register_unstructure_hook(
        PayloadMapping, lambda mapping: {"remove": list(mapping.remove), "rename": dict(mapping.rename)}
    )
    converter.register_unstructure_hook(Condition, Condition.parts)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_unstructure_hook(bytes, lambda data: data.decode("utf-8", "backslashreplace"))
    # A payload is JSON data already, and going through it would take longer than all the rest.
    payload = override(unstruct_hook=lambda payload: payload)
    converter.register_unstructure_hook(Event, make_dict_unstructure_fn(Event, converter, payload=payload))
    # These are internal, or shown only where they are asked for.
    omitted = override(omit=True)
    endpoint = make_dict_unstructure_fn(Endpoint, converter, webhook_id=omitted, tenant=omitted)
    converter.register_unstructure_hook(Endpoint, endpoint)
    webhook = make_dict_unstructure_fn(Webhook, converter, interval=omitted, secrets=omitted)
    converter.register_unstructure_hook(Webhook, webhook)
    return converter


_converter = _make_converter()
