"""Describe a catalog as an OpenAPI 3.1 or AsyncAPI 3 document, for receivers and their tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from unihooks._message.wire_names import DEFAULT_NAMES, WireNames
from unihooks._model.products import EventType, Product

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_NOT_OF_A_KEY = re.compile(r"[^A-Za-z0-9._-]")

# Keywords that hold schemas by name, and keywords whose value is data, not a schema.
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_DATA = {"const", "enum", "default", "example", "examples"}

_SIGNATURE = (
    "Standard Webhooks: one or more signatures, separated by spaces, each a version, a comma and base64. `v1` is "
    "HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; its key is what follows `whsec_` in the secret, "
    "base64-decoded. `v1a` is Ed25519. One valid signature is enough. Compare in constant time, and refuse a "
    "timestamp that is more than five minutes off."
)
_HEADERS = {
    "webhook-id": ("The event's id, the same on retries and replays: use it to ignore duplicates.", "evt_"),
    "webhook-timestamp": ("The time of this attempt, in seconds since 1970.", "1700000000"),
    "webhook-signature": (_SIGNATURE, "v1"),
    "{prefix}-product": ("The product.", ""),
    "{prefix}-event": ("The event type.", ""),
    "{prefix}-webhook": ("The id of the webhook.", "wh_"),
    "{prefix}-subject": ("The subject of the event, if it has one.", ""),
}
_OPTIONAL = "-subject"
_RESPONSES = {
    "2XX": "Received. No other status counts as success; redirects are not followed.",
    "410": "Gone: the endpoint is disabled, and nothing more is sent to it.",
    "429": "Too many requests: sent again after a minute, or later if `Retry-After` says so.",
    "default": "Not received: sent again at growing intervals for about three days.",
}
_ABOUT = (
    "What is sent to the endpoints of webhooks. A webhook's mapping may remove or rename properties of a payload, "
    "and its custom headers are added."
)


def openapi_document(
    catalog: Iterable[Product], *, title: str, version: str, names: WireNames = DEFAULT_NAMES
) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document whose `webhooks` are the event types."""
    products = list(catalog)
    named, headers = _named(products), _headers(names)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _ABOUT},
        "jsonSchemaDialect": _DIALECT,
        "tags": [_described({"name": one.name, "x-displayName": one.title}, one.description) for one in products],
        "webhooks": {key: {"post": _operation(key, event, headers)} for key, event in named.items()},
        "components": {
            "schemas": {key: _placed(event.schema, f"#/components/schemas/{key}") for key, event in named.items()},
            "parameters": {name: _parameter(name, one) for name, one in headers.items()},
            "securitySchemes": _security_schemes("apiKey"),
        },
    }


def asyncapi_document(
    catalog: Iterable[Product], *, title: str, version: str, names: WireNames = DEFAULT_NAMES
) -> dict[str, Any]:
    """Return an AsyncAPI 3 document in which the host sends one message for each event type."""
    products = list(catalog)
    named = _named(products)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": _ABOUT,
            "tags": [_described({"name": one.name}, one.description or one.title) for one in products],
        },
        "defaultContentType": "application/json",
        "channels": {key: _channel(key, event) for key, event in named.items()},
        "operations": {key: _sending(key, event) for key, event in named.items()},
        "components": {
            "messages": {key: _message(key, event) for key, event in named.items()},
            "messageTraits": {"signed": {"headers": _header_schema(_headers(names))}},
            "securitySchemes": _security_schemes("httpApiKey"),
        },
    }


def _named(products: Iterable[Product]) -> dict[str, EventType]:
    """Return the event types under keys that both kinds of document allow."""
    named: dict[str, EventType] = {}
    for event in (event for product in products for event in product):
        key = wanted = _NOT_OF_A_KEY.sub("_", f"{event.product}.{event.name}")
        number = 1
        while key in named:
            number += 1
            key = f"{wanted}_{number}"
        named[key] = event
    return named


def _described(value: dict[str, Any], description: str | None) -> dict[str, Any]:
    return value if description is None else value | {"description": description}


def _security_schemes(kind: str) -> dict[str, Any]:
    signature = {"type": kind, "in": "header", "name": "webhook-signature", "description": _SIGNATURE}
    return {"signature": signature}


# OpenAPI.


def _operation(key: str, event: EventType, headers: Iterable[str]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{key}"}}
    if event.example is not None:
        content["examples"] = {"example": {"summary": event.title, "value": event.example}}
    operation = {
        "operationId": key,
        "summary": event.title,
        "tags": [event.product],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in headers],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {code: {"description": text} for code, text in _RESPONSES.items()},
        "security": [{"signature": []}],
        "x-product": event.product,
        "x-event-type": event.name,
    }
    return _described(operation, event.description)


def _parameter(name: str, header: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": not name.endswith(_OPTIONAL)} | header


def _headers(names: WireNames) -> dict[str, dict[str, Any]]:
    return {name.format(prefix=names.prefix): _header(*about) for name, about in _HEADERS.items()}


def _header(text: str, start: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if start.isdigit():
        schema["pattern"] = "^[0-9]+$"
    elif start:
        schema["pattern"] = f"^{start}"
    return {"description": text, "schema": schema}


# AsyncAPI.


def _channel(key: str, event: EventType) -> dict[str, Any]:
    channel = {
        "address": None,
        "title": event.title,
        "messages": {"event": {"$ref": f"#/components/messages/{key}"}},
        "tags": [{"name": event.product}],
    }
    return _described(channel, event.description)


def _sending(key: str, event: EventType) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "title": event.title,
        "messages": [{"$ref": f"#/channels/{key}/messages/event"}],
        "security": [{"$ref": "#/components/securitySchemes/signature"}],
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _message(key: str, event: EventType) -> dict[str, Any]:
    schema = _placed(event.schema, f"#/components/messages/{key}/payload/schema")
    message: dict[str, Any] = {
        "name": event.name,
        "title": event.title,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/signed"}],
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": schema},
        "x-product": event.product,
    }
    if isinstance(event.example, Mapping):
        message["examples"] = [{"name": "example", "payload": event.example}]
    return _described(message, event.description)


def _header_schema(headers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    properties = {name: one["schema"] | {"description": one["description"]} for name, one in headers.items()}
    required = [name for name in headers if not name.endswith(_OPTIONAL)]
    return {"type": "object", "required": required, "properties": properties}


# Schemas inside documents.


def _placed(schema: Any, place: str) -> Any:
    """Return a schema as part of a document, with references that start at the document's root, not the schema's."""
    if schema is None:
        return {}
    if isinstance(schema, Mapping) and "$id" in schema:
        return schema
    return _moved(schema, place)


def _moved(schema: Any, place: str) -> Any:
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = {}
    for keyword, value in schema.items():
        if keyword in _DATA:
            moved[keyword] = value
        elif keyword in _BY_NAME and isinstance(value, Mapping):
            moved[keyword] = {name: _moved(one, place) for name, one in value.items()}
        elif keyword in ("$ref", "$dynamicRef") and (value == "#" or str(value).startswith("#/")):
            moved[keyword] = place + value[1:]
        else:
            moved[keyword] = _moved(value, place)
    return moved
