"""Narrow and page the memory store's rows, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, TypeVar

from unihooks._contract.planning import NewEvent
from unihooks._model.webhooks import Webhook
from unihooks.abc import DeliveryFilter, EventFilter, WebhookFilter, Window
from unihooks.stores._memory_rows import DeliveryRow

T = TypeVar("T")


def page(
    rows: Iterable[T],
    window: Window,
    key: Callable[[T], Any] = attrgetter("id"),
    read: Callable[[str], Any] = str,
) -> list[T]:
    """Return the rows of a window; `key` gives a row's position, `read` that of a window's edge."""
    rising = sorted(rows, key=key)
    if window.newer_than is not None:
        edge = read(window.newer_than)
        return [row for row in rising if key(row) > edge][: window.limit][::-1]
    if window.older_than is not None:
        edge = read(window.older_than)
        rising = [row for row in rising if key(row) < edge]
    return rising[::-1][: window.limit]


def webhook_fits(webhook: Webhook, filters: WebhookFilter, *, failing: bool) -> bool:
    """Say whether a webhook passes the filter."""
    if filters.failing not in {None, failing}:
        return False
    if filters.status is not None and webhook.status is not filters.status:
        return False
    texts = (webhook.name, webhook.description, *(endpoint.url for endpoint in webhook.endpoints))
    return any((filters.search or "").casefold() in text.casefold() for text in texts)


def event_fits(event: NewEvent, filters: EventFilter) -> bool:
    """Say whether an event passes the filter."""
    return (
        filters.event_id in {None, event.id}
        and filters.product in {None, event.product}
        and filters.event_type in {None, event.event_type}
        and _within(event.created_at, filters.since, filters.until)
    )


def delivery_fits(row: DeliveryRow, filters: DeliveryFilter, *, held: bool) -> bool:
    """Say whether a delivery passes the filter."""
    return (
        filters.delivery_id in {None, row.id}
        and filters.webhook_id in {None, row.webhook_id}
        and filters.endpoint_id in {None, row.endpoint_id}
        and filters.event_id in {None, row.event.id}
        and filters.product in {None, row.event.product}
        and filters.event_type in {None, row.event.event_type}
        and filters.state in {None, row.state}
        and filters.held in {None, held}
        and _within(row.created_at, filters.since, filters.until)
    )


def _within(at: int, since: int | None, until: int | None) -> bool:
    return (since is None or since <= at) and (until is None or at < until)
