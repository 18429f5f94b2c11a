"""Turn values into rows and back, in the same way for every database.

The statements list their columns in the order that each function here documents; bytes come last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from attrs import AttrsInstance, evolve, fields

from unihooks._base.times import optional_from_us, to_us
from unihooks._contract.filters import name_key
from unihooks._contract.planning import SubscribedEndpoint, Subscriber, alternatives
from unihooks._message.conditions import Condition
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import decode
from unihooks._message.requests import Destination
from unihooks._message.secrets import Secret
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks._model.policy import NO_POLICY, DeliveryPolicy
from unihooks._model.webhooks import ActiveInterval, Endpoint, EventSubscription, Webhook, WebhookStatus
from unihooks.stores.sql.transaction import Row
from unihooks.stores.sql.waiting import Wait

V = TypeVar("V", bound=AttrsInstance)

_NO_CONDITIONS = "[]"
_NOTHING = "{}"
# The columns of a webhook's last active interval.
_INTERVAL = ("activated_at", "activated_mark", "deactivated_at", "deactivated_mark")


def webhook_values(webhook: Webhook) -> dict[str, Any]:
    """Return the parameters of `add_webhook_row`, except the rendering."""
    interval = webhook.interval
    searched = [webhook.name, webhook.description, *[item.url for item in webhook.endpoints]]
    searched += [f"{name}: {text}" for name, text in webhook.metadata.items()]
    return {
        "id": webhook.id,
        "tenant": webhook.tenant,
        "name": webhook.name,
        "description": webhook.description,
        "status": webhook.status.value,
        "mapping": json.dumps({"remove": list(webhook.mapping.remove), "rename": dict(webhook.mapping.rename)}),
        "policy": json.dumps(webhook.policy.given()),
        "metadata": json.dumps(dict(webhook.metadata)),
        "headers": json.dumps(webhook.headers.revealed()).encode(),
        "ordered": webhook.ordered,
        "version": webhook.version,
        "created_at": _optional_to_us(webhook.created_at),
        "updated_at": _optional_to_us(webhook.updated_at),
        **{name: interval and getattr(interval, name) for name in _INTERVAL},
        "name_key": name_key(webhook.name),
        # Searches ignore case in the same way in every database, whatever its locale.
        "search_text": "\n".join(searched).casefold(),
    }


def endpoint_rows(webhook: Webhook) -> list[Row]:
    """Return the rows of `add_endpoints`."""
    rows: list[Row] = []
    for position, one in enumerate(webhook.endpoints):
        disabled = (one.disabled_reason, _optional_to_us(one.disabled_at))
        rows.append(
            (one.id, webhook.tenant, webhook.id, position, one.url, one.description, one.state.value, *disabled)
        )
    return rows


def secret_rows(webhook: Webhook) -> list[Row]:
    """Return the rows of `add_secrets`, the current secret first."""
    rows: list[Row] = []
    for position, one in enumerate(webhook.secrets):
        times = (_optional_to_us(one.created_at), _optional_to_us(one.expires_at))
        rows.append((webhook.id, position, *times, one.reveal().encode()))
    return rows


def subscription_rows(webhook: Webhook) -> list[Row]:
    """Return the rows of `add_subscriptions`."""
    rows: list[Row] = []
    for position, one in enumerate(webhook.subscriptions):
        conditions = json.dumps([condition.parts() for condition in one.where])
        rows.append((webhook.tenant, one.product, one.event_type, webhook.id, position, conditions))
    return rows


def to_webhook(row: Row, endpoints: Iterable[Row], secrets: Iterable[Row], subscriptions: Iterable[Row]) -> Webhook:
    """Return the webhook of a row of `webhooks` and of its parts' rows, each in the order of position.

    A part's row has no webhook id: endpoints are (url, id, description, state, disabled_reason, disabled_at),
    subscriptions (product, event_type, conditions), secrets (created_at, expires_at, value).
    """
    id_, tenant, name, description, status, mapping, policy, metadata, ordered, version, *times, headers = row
    created_at, updated_at, *interval = times
    named = {"id": id_, "tenant": tenant, "name": name, "description": description, "version": version}
    return Webhook(
        **named,
        status=WebhookStatus(status),
        mapping=PayloadMapping(**json.loads(mapping)),
        policy=_to_policy(policy),
        metadata=json.loads(metadata),
        headers=_to_headers(headers),
        ordered=bool(ordered),
        created_at=optional_from_us(created_at),
        updated_at=optional_from_us(updated_at),
        interval=_to_interval(*interval),
        endpoints=tuple(to_value(Endpoint, item) for item in endpoints),
        secrets=tuple(_to_secret(*item) for item in secrets),
        subscriptions=tuple(EventSubscription(one, kind, to_conditions(text)) for one, kind, text in subscriptions),
    )


def to_destination(row: Row, secrets: Iterable[Row]) -> Destination:
    """Return where a delivery goes: endpoint id, webhook id, tenant, URL, open, config_version, policy, headers."""
    *names, is_open, config_version, policy, headers = row
    named = dict(zip(("endpoint_id", "webhook_id", "tenant", "url"), names, strict=True))
    signing = tuple(_to_secret(*item) for item in secrets)
    given = {**named, "headers": _to_headers(headers), "secrets": signing, "config_version": config_version}
    return Destination(**given, open=bool(is_open), policy=_to_policy(policy) if policy != _NOTHING else None)


def to_subscriber(webhook: Row, endpoints: Sequence[Row], conditions: Sequence[Row]) -> Subscriber:
    """Return what planning needs of a webhook, its endpoints by id, and the conditions of its subscriptions.

    Their rows are (id, rendering, policy, ordered, interval columns), (id, disabled_at), and (conditions).
    """
    id_, rendering, policy, ordered, *columns = webhook
    interval = _to_interval(*columns)
    assert interval is not None  # noqa: S101 - planning reads webhooks that were active once
    where = alternatives(to_conditions(text) for (text,) in conditions)
    places = tuple(SubscribedEndpoint(*row) for row in endpoints)
    return Subscriber(
        id_, interval, rendering, places, where, is_limited=_to_policy(policy).is_limited, ordered=bool(ordered)
    )


def to_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions that a subscription's row holds."""
    return tuple(Condition(**parts) for parts in json.loads(text)) if text != _NO_CONDITIONS else ()


def by_owner(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return rows without their first column, by the value of that column."""
    owned: dict[str, list[Row]] = {}
    for owner, *row in rows:
        owned.setdefault(owner, []).append(row)
    return owned


def to_value(kind: type[V], row: Row, /, **read: Callable[[Any], Any]) -> V:
    """Return a value from a row that holds its first fields, in their order.

    Fields named `..._at` or `..._since` are times; `read` converts other fields that differ from their column.
    """
    names, moments = _names(kind, len(row))
    values = dict(zip(names, row, strict=True))
    for name in moments:
        values[name] = optional_from_us(values[name])
    for name, reading in read.items():
        values[name] = reading(values[name])
    return kind(**values)


@cache
def _names(kind: type[AttrsInstance], count: int) -> tuple[list[str], list[str]]:
    """Return the names of a kind's first fields, and which of them are times."""
    names = [one.name for one in fields(kind)[:count]]
    return names, [name for name in names if name.endswith(("_at", "_since"))]


def to_event(row: Row) -> Event:
    """Return the event of a row of `events`."""
    # JSON is never empty, so an empty body means that the event was erased.
    return to_value(Event, row, payload=lambda body: decode(bytes(body)) if body else None)


def to_delivery(row: Row, now: int) -> Delivery:
    """Return the delivery of a row of `deliveries`, whose last columns are its webhook's policy and those of `Wait`."""
    count = len(fields(Wait))
    *values, policy = row[:-count]
    delivery = to_value(Delivery, values, state=DeliveryState, held=bool, duration_ms=_to_ms)
    if delivery.state is not DeliveryState.PENDING:
        return delivery
    delays = _to_policy(policy or _NOTHING).retry_delays
    left = None if delays is None else max(0, len(delays) + 1 - delivery.attempt_count)
    return evolve(delivery, attempts_left=left, waiting=Wait(*row[-count:]).sentence(delivery, now))


def to_attempt(row: Row) -> Attempt:
    """Return the attempt of a row of `attempts`."""
    return to_value(
        Attempt,
        row,
        duration_ms=_to_ms,
        request_headers=_to_pairs,
        response_headers=_to_pairs,
        response_body=bytes,
        warnings=lambda text: tuple(json.loads(text)),
    )


def _to_ms(duration_us: int | None) -> float | None:
    return None if duration_us is None else duration_us / 1000


def _optional_to_us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _to_interval(activated_at: int | None, *others: Any) -> ActiveInterval | None:
    if activated_at is None:
        return None
    return ActiveInterval(**dict(zip(_INTERVAL, (activated_at, *others), strict=True)))


def _to_policy(text: str) -> DeliveryPolicy:
    return NO_POLICY if text == _NOTHING else DeliveryPolicy(**json.loads(text))


def _to_headers(text: bytes) -> HeaderSet:
    return HeaderSet(_to_pairs(bytes(text)))


def _to_pairs(text: str | bytes) -> list[tuple[str, str]]:
    return [(name, value) for name, value in json.loads(text)]


def _to_secret(created_at: int | None, expires_at: int | None, value: bytes) -> Secret:
    return Secret(
        bytes(value).decode(), created_at=optional_from_us(created_at), expires_at=optional_from_us(expires_at)
    )
