"""The values that say which part of a listing is wanted."""

from __future__ import annotations

from attrs import frozen

from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Webhook, WebhookStatus


@frozen(kw_only=True)
class Window:
    """Be a place in a newest-first listing: up to `limit` rows older than `older_than` or newer than `newer_than`.

    Both are positions as given by rows' ids (an attempt's number as text). Rows
    come newest first in either case; with `newer_than` they are those next to it.
    `by_name` (webhooks only) says that positions are those of `name_position`, and rows come last name first.
    """

    limit: int
    older_than: str | None = None
    newer_than: str | None = None
    by_name: bool = False


@frozen(kw_only=True)
class WebhookFilter:
    """Narrow a listing of webhooks; `search` looks in name, description and URLs, ignoring case.

    `failing` says whether any endpoint's last attempts failed.
    """

    status: WebhookStatus | None = None
    search: str | None = None
    failing: bool | None = None


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


def name_key(name: str) -> str:
    """Return what names are sorted by, ignoring case."""
    return name.casefold()


def name_position(webhook: Webhook) -> str:
    """Return where a webhook stands in a listing by name; such texts sort as (name, id) would."""
    return f"{name_key(webhook.name)}\0{webhook.id}"


def split_position(position: str) -> tuple[str, str]:
    """Return the name's key and the id from a position in a listing by name."""
    key, _, webhook_id = position.partition("\0")
    return key, webhook_id
