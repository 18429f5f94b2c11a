"""The rows of a listing that are wanted, and the page of them."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from attrs import frozen

from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Webhook, WebhookStatus


@frozen(kw_only=True)
class Window:
    """A page of a newest-first listing: up to `limit` rows older than `older_than`, or newer than `newer_than`.

    Positions are the ids of rows (the number of an attempt, as text). Rows come newest first in either case; with
    `newer_than` they are those nearest to it. With `by_name` (webhooks only), positions are those of `name_position`,
    and rows come in descending order of name.
    """

    limit: int
    older_than: str | None = None
    newer_than: str | None = None
    by_name: bool = False


@frozen(kw_only=True)
class WebhookFilter:
    """The webhooks wanted; `search` looks in name, description, URLs and metadata, ignoring case.

    A webhook matches a state in `health` if an endpoint was in that state at its last attempt; it is healthy if it has
    an enabled endpoint and none that is failing or degraded. `attempted` says whether anything has been sent to an
    enabled endpoint yet.
    """

    status: WebhookStatus | None = None
    search: str | None = None
    health: tuple[HealthState, ...] = ()
    attempted: bool | None = None


@frozen(kw_only=True)
class EventFilter:
    """The events wanted, from `since` until before `until`."""

    event_id: str | None = None
    product: str | None = None
    event_type: str | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None


@frozen(kw_only=True)
class DeliveryFilter(EventFilter):
    """The deliveries wanted: `DeliveryFilters` as stores read them, or one id; the times are the deliveries' own.

    `status_code` is the lowest and the highest code wanted; `NO_RESPONSE` as both is an attempt without a response.
    """

    delivery_id: str | None = None
    webhook_id: str | None = None
    endpoint_id: str | None = None
    state: DeliveryState | None = None
    held: bool | None = None
    status_code: tuple[int, int] | None = None
    search: str | None = None


class DeliveryFilters(TypedDict, total=False):
    """The filters of `log.deliveries`, `count` and `replay_all`: a delivery must match all that are given.

    `status_code` is that of the last attempt: a code (503), a class of codes ("5xx"), or "none" where no response came.
    `search` is the beginning of the id of an event, a delivery or a webhook, of a subject, or of a URL, with or without
    https://. `state` is a `DeliveryState` or its text. `held` says whether a pending delivery waits for its webhook or
    endpoint. `since` is included and `until` is not; both are aware datetimes, compared with when deliveries were made.
    A delivery made more than a day after its event, for example by `recover`, counts as made a day after it; a replay
    counts by its own time.
    """

    webhook_id: str | None
    endpoint_id: str | None
    event_id: str | None
    product: str | None
    event_type: str | None
    subject: str | None
    state: DeliveryState | str | None
    held: bool | None
    status_code: int | str | None
    search: str | None
    since: datetime | None
    until: datetime | None


def name_key(name: str) -> str:
    """Return the key by which names are sorted, ignoring case."""
    return name.casefold()


def name_position(webhook: Webhook) -> str:
    """Return a webhook's position in a listing by name; positions sort as (name, id) does."""
    return f"{name_key(webhook.name)}\0{webhook.id}"


def split_position(position: str) -> tuple[str, str]:
    """Return the key of the name and the id from a position in a listing by name."""
    key, _, webhook_id = position.partition("\0")
    return key, webhook_id
