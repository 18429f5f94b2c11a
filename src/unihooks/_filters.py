"""The values that say which part of a listing is wanted."""

from __future__ import annotations

from attrs import frozen

from unihooks._models import DeliveryState, WebhookStatus


@frozen(kw_only=True)
class Window:
    """Be a place in a newest-first listing: up to `limit` rows older than `older_than` or newer than `newer_than`.

    Both are positions as given by rows' ids (an attempt's number as text). Rows
    come newest first in either case; with `newer_than` they are those next to it.
    """

    limit: int
    older_than: str | None = None
    newer_than: str | None = None


@frozen(kw_only=True)
class WebhookFilter:
    """Narrow a listing of webhooks; `search` looks in name, description and URLs, ignoring case."""

    status: WebhookStatus | None = None
    search: str | None = None


@frozen(kw_only=True)
class EventFilter:
    """Narrow a listing of events; `since` is included, `until` is not."""

    event_id: str | None = None
    product: str | None = None
    event_type: str | None = None
    since: int | None = None
    until: int | None = None


@frozen(kw_only=True)
class DeliveryFilter:
    """Narrow a listing of deliveries; `since` is included, `until` is not."""

    delivery_id: str | None = None
    webhook_id: str | None = None
    endpoint_id: str | None = None
    event_id: str | None = None
    product: str | None = None
    event_type: str | None = None
    state: DeliveryState | None = None
    held: bool | None = None
    since: int | None = None
    until: int | None = None
