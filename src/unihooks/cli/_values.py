"""Turn values of the library into plain JSON values and short texts, without any secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from unihooks._management.overview import Stats
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.page import Page
from unihooks._model.webhooks import Endpoint, Webhook

T = TypeVar("T")
HIDDEN = "***"


def write_json(value: Any) -> None:
    """Write one JSON document to stdout; ASCII, so that no terminal or encoding can spoil it."""
    click.echo(json.dumps(value, indent=2))


def page_value(page: Page[T], value: Callable[[T], Any]) -> dict[str, Any]:
    """Return a page with its cursors."""
    return {"items": [value(item) for item in page], "next": page.next, "previous": page.previous}


def every_page(fetch: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Go through a listing from its newest item to its oldest."""
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page
        cursor = page.next
        if cursor is None:
            return


def webhook_value(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook; of its headers the names, of its secrets the times."""
    return {
        "id": webhook.id,
        "tenant": webhook.tenant,
        "name": webhook.name,
        "description": webhook.description,
        "status": webhook.status.value,
        "endpoints": [endpoint_value(endpoint) for endpoint in webhook.endpoints],
        "subscriptions": [{"product": one.product, "event_type": one.event_type} for one in webhook.subscriptions],
        "mapping": {"remove": list(webhook.mapping.remove), "rename": dict(webhook.mapping.rename)},
        "headers": list(webhook.headers),
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
    return {
        "id": endpoint.id,
        "url": safe_url(endpoint.url),
        "description": endpoint.description,
        "state": endpoint.state.value,
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": time(endpoint.disabled_at),
    }


def event_value(event: Event) -> dict[str, Any]:
    """Return an event with its payload."""
    return {
        "id": event.id,
        "tenant": event.tenant,
        "product": event.product,
        "event_type": event.event_type,
        "payload": event.payload,
        "created_at": time(event.created_at),
    }


def delivery_value(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery."""
    return {
        "id": delivery.id,
        "tenant": delivery.tenant,
        "event_id": delivery.event_id,
        "webhook_id": delivery.webhook_id,
        "endpoint_id": delivery.endpoint_id,
        "product": delivery.product,
        "event_type": delivery.event_type,
        "url": safe_url(delivery.url),
        "state": delivery.state.value,
        "held": delivery.held,
        "attempt_count": delivery.attempt_count,
        "created_at": time(delivery.created_at),
        "next_attempt_at": time(delivery.next_attempt_at),
        "reason": delivery.reason,
        "replay_of": delivery.replay_of,
    }


def attempt_value(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt; of its request's headers the names, of the answer what was kept as text."""
    return {
        "id": attempt.id,
        "delivery_id": attempt.delivery_id,
        "number": attempt.number,
        "url": safe_url(attempt.url),
        "started_at": time(attempt.started_at),
        "duration_ms": round(attempt.duration_ms, 3),
        "status_code": attempt.status_code,
        "error": attempt.error,
        "request_headers": [name for name, _ in attempt.request_headers],
        "response_headers": [name for name, _ in attempt.response_headers],
        "response_body": attempt.response_body.decode(errors="backslashreplace"),
        "warnings": list(attempt.warnings),
    }


def stats_value(stats: Stats) -> dict[str, Any]:
    """Return the state of the queue."""
    return {
        "oldest_unplanned": time(stats.oldest_unplanned),
        "due": stats.due,
        "held": stats.held,
        "in_flight": stats.in_flight,
        "failing_endpoints": stats.failing_endpoints,
        "workers": [
            {"id": one.id, "host": one.host, "pid": one.pid, "seen_at": time(one.seen_at)} for one in stats.workers
        ],
    }


def time(moment: datetime | None) -> str | None:
    """Return the time in UTC as text with microseconds, as JSON has it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def short_time(moment: datetime | None) -> str:
    """Return the time in UTC to the second, or nothing.

    >>> from datetime import UTC
    >>> short_time(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return "" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def safe_url(url: str) -> str:
    """Return the URL without the values of its query, which may be keys.

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
    """Return the state in the words of the log."""
    return f"{delivery.state.value}, held" if delivery.held else delivery.state.value
