"""Turn the library's values into JSON values and short texts, without any secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import click
from attrs import AttrsInstance

from unihooks._contract.statistics import Stats
from unihooks._management.paging import Page
from unihooks._model.log import Attempt, Delivery
from unihooks._model.webhooks import Endpoint, Webhook

T = TypeVar("T")
HIDDEN = "***"


def write_json(value: Any) -> None:
    """Print a JSON document to stdout, in ASCII, which no terminal or encoding can garble."""
    click.echo(json.dumps(value, indent=2))


def page_value(page: Page[T], value: Callable[[T], Any]) -> dict[str, Any]:
    """Return a page with its cursors."""
    return {"items": [value(item) for item in page], "next": page.next, "previous": page.previous}


def webhook_value(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook with only the names of its headers and the times of its secrets."""
    return {
        "id": webhook.id,
        "tenant": webhook.tenant,
        "name": webhook.name,
        "description": webhook.description,
        "status": webhook.status.value,
        "endpoints": [endpoint_value(endpoint) for endpoint in webhook.endpoints],
        "subscriptions": [
            {"product": one.product, "event_type": one.event_type, "where": [each.parts() for each in one.where]}
            for one in webhook.subscriptions
        ],
        "mapping": {"remove": list(webhook.mapping.remove), "rename": dict(webhook.mapping.rename)},
        "headers": list(webhook.headers),
        "policy": webhook.policy.given(),
        "ordered": webhook.ordered,
        "metadata": dict(webhook.metadata),
        "secrets": [
            {"created_at": time(one.created_at), "expires_at": time(one.expires_at)} for one in webhook.secrets
        ],
        "version": webhook.version,
        "created_at": time(webhook.created_at),
        "updated_at": time(webhook.updated_at),
        "activated_at": time(webhook.activated_at),
        "deactivated_at": time(webhook.deactivated_at),
    }


def endpoint_value(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint of a webhook."""
    health = endpoint.health
    return {
        "id": endpoint.id,
        "url": safe_url(endpoint.url),
        "description": endpoint.description,
        "state": endpoint.state.value,
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": time(endpoint.disabled_at),
        "health": plain_value(health)
        | {name: plain_value(getattr(health, name)) for name in ("last_hour", "last_day")},
    }


def delivery_value(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery."""
    return plain_value(delivery) | {"url": safe_url(delivery.url)}


def attempt_value(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt with only the names of its headers, and the response's body as text."""
    return plain_value(attempt) | {
        "url": safe_url(attempt.url),
        "duration_ms": round(attempt.duration_ms, 3),
        "request_headers": [name for name, _ in attempt.request_headers],
        "response_headers": [name for name, _ in attempt.response_headers],
        "response_body": attempt.response_body.decode(errors="backslashreplace"),
    }


def stats_value(stats: Stats) -> dict[str, Any]:
    """Return the state of the queue."""
    workers = [{"id": one.id, "host": one.host, "pid": one.pid, "seen_at": time(one.seen_at)} for one in stats.workers]
    return plain_value(stats) | {"workers": workers}


def plain_value(value: AttrsInstance) -> dict[str, Any]:
    """Return the fields of a value that holds no secret, with its times as text."""
    named = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    return {name: time(one) if isinstance(one, datetime) else one for name, one in named.items()}


def time(moment: datetime | None) -> str | None:
    """Return the time in UTC as ISO 8601 text with microseconds."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def short_time(moment: datetime | None) -> str:
    """Return the time in UTC to the second, or an empty text.

    >>> from datetime import UTC
    >>> short_time(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return "" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def safe_url(url: str) -> str:
    """Return the URL without the values of its query, which may be secrets.

    >>> safe_url("https://example.com/in?key=s3cr3t&v=2")
    'https://example.com/in?key=***&v=***'
    """
    query = urlsplit(url).query
    if not query:
        return url
    hidden = "&".join(f"{name}={HIDDEN}" if is_set else HIDDEN for name, is_set, _ in _pairs(query))
    return f"{url.partition('?')[0]}?{hidden}"


def _pairs(query: str) -> Iterator[tuple[str, str, str]]:
    return (pair.partition("=") for pair in query.split("&"))


def state_of(delivery: Delivery) -> str:
    """Return the state, and whether the delivery is held."""
    return f"{delivery.state.value}, held" if delivery.held else delivery.state.value
