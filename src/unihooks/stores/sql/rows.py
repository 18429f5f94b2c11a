"""Turn values into rows and back, alike for every database.

The statements name their columns in the order that each function here tells; bytes come last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from unihooks._base.times import from_us, optional_from_us, to_us
from unihooks._contract.filters import name_key
from unihooks._contract.planning import SubscribedEndpoint, Subscriber
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import decode
from unihooks._message.requests import Destination
from unihooks._message.secrets import Secret
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks._model.webhooks import ActiveInterval, Endpoint, EndpointState, EventSubscription, Webhook, WebhookStatus
from unihooks.stores.sql.transaction import Row


def webhook_values(webhook: Webhook) -> dict[str, Any]:
    """Return what the statement `add_webhook_row` takes, but for the rendering."""
    interval = webhook.interval
    return {
        "id": webhook.id,
        "tenant": webhook.tenant,
        "name": webhook.name,
        "description": webhook.description,
        "status": webhook.status.value,
        "mapping": json.dumps({"remove": list(webhook.mapping.remove), "rename": dict(webhook.mapping.rename)}),
        "headers": json.dumps(webhook.headers.revealed()).encode(),
        "version": webhook.version,
        "created_at": _optional_to_us(webhook.created_at),
        "updated_at": _optional_to_us(webhook.updated_at),
        "activated_at": interval and interval.activated_at,
        "activated_mark": interval and interval.activated_mark,
        "deactivated_at": interval and interval.deactivated_at,
        "deactivated_mark": interval and interval.deactivated_mark,
        "name_key": name_key(webhook.name),
        "search_text": _search_text(webhook),
    }


def endpoint_rows(webhook: Webhook) -> list[Row]:
    """Return what `add_endpoints` takes."""
    return [
        (
            item.id,
            webhook.tenant,
            webhook.id,
            position,
            item.url,
            item.description,
            item.state.value,
            item.disabled_reason,
            _optional_to_us(item.disabled_at),
        )
        for position, item in enumerate(webhook.endpoints)
    ]


def secret_rows(webhook: Webhook) -> list[Row]:
    """Return what `add_secrets` takes, the current secret first."""
    return [
        (
            webhook.id,
            position,
            _optional_to_us(item.created_at),
            _optional_to_us(item.expires_at),
            item.reveal().encode(),
        )
        for position, item in enumerate(webhook.secrets)
    ]


def subscription_rows(webhook: Webhook) -> list[Row]:
    """Return what `add_subscriptions` takes."""
    return [
        (webhook.tenant, item.product, item.event_type, webhook.id, position)
        for position, item in enumerate(webhook.subscriptions)
    ]


def to_webhook(row: Row, endpoints: Iterable[Row], secrets: Iterable[Row], subscriptions: Iterable[Row]) -> Webhook:
    """Return the webhook of a row of `webhooks` and of its parts' rows, each in the order of position.

    A part's row has no webhook id: endpoints are (id, url, description, state, disabled_reason, disabled_at),
    subscriptions (product, event_type), secrets (created_at, expires_at, value).
    """
    id_, tenant, name, description, status, mapping, version, created_at, updated_at, *interval, headers = row
    return Webhook(
        id=id_,
        tenant=tenant,
        name=name,
        description=description,
        status=WebhookStatus(status),
        mapping=PayloadMapping(**json.loads(mapping)),
        headers=_to_headers(headers),
        version=version,
        created_at=optional_from_us(created_at),
        updated_at=optional_from_us(updated_at),
        interval=_to_interval(*interval),
        endpoints=tuple(_to_endpoint(item) for item in endpoints),
        secrets=tuple(_to_secret(*item) for item in secrets),
        subscriptions=tuple(EventSubscription(*item) for item in subscriptions),
    )


def to_destination(row: Row, secrets: Iterable[Row]) -> Destination:
    """Return where a delivery goes, from (endpoint id, webhook id, tenant, URL, open, config_version, headers)."""
    endpoint_id, webhook_id, tenant, url, is_open, config_version, headers = row
    return Destination(
        endpoint_id=endpoint_id,
        webhook_id=webhook_id,
        tenant=tenant,
        url=url,
        headers=_to_headers(headers),
        secrets=tuple(_to_secret(*item) for item in secrets),
        open=bool(is_open),
        config_version=config_version,
    )


def to_subscriber(webhook: Row, endpoints: Sequence[Row]) -> Subscriber:
    """Return what planning needs, from (id, rendering, interval columns) and (id, disabled_at) by id."""
    id_, rendering, *columns = webhook
    interval = _to_interval(*columns)
    assert interval is not None  # noqa: S101 - planning reads webhooks that were active once
    return Subscriber(id_, interval, rendering, tuple(SubscribedEndpoint(*row) for row in endpoints))


def to_event(row: Row) -> Event:
    """Return the event of (id, tenant, product, event_type, created_at, body)."""
    id_, tenant, product, event_type, created_at, body = row
    # JSON is never empty, so an empty body means that the event was erased.
    return Event(id_, tenant, product, event_type, decode(bytes(body)) if body else None, from_us(created_at))


def to_delivery(row: Row) -> Delivery:
    """Return a delivery.

    The row holds id, tenant, event_id, webhook_id, endpoint_id, product,
    event_type, url, state, whether its lane is open, attempt_count,
    created_at, due_at, reason and replay_of.
    """
    *names, text, is_open, attempt_count, created_at, due_at, reason, replay_of = row
    id_, tenant, event_id, webhook_id, endpoint_id, product, event_type, url = names
    state = DeliveryState(text)
    pending = state is DeliveryState.PENDING
    return Delivery(
        id=id_,
        tenant=tenant,
        event_id=event_id,
        webhook_id=webhook_id,
        endpoint_id=endpoint_id,
        product=product,
        event_type=event_type,
        url=url,
        state=state,
        held=pending and not is_open,
        attempt_count=attempt_count,
        created_at=from_us(created_at),
        next_attempt_at=from_us(due_at) if pending else None,
        reason=reason,
        replay_of=replay_of,
    )


def to_attempt(row: Row) -> Attempt:
    """Return an attempt.

    The row holds delivery_id, number, url, started_at, duration_us,
    status_code, error, request_headers, response_headers, warnings and
    response_body.
    """
    delivery_id, number, url, started_at, duration_us, status_code, error, request, response, warnings, body = row
    return Attempt(
        id=f"att_{delivery_id.partition('_')[2]}_{number}",
        delivery_id=delivery_id,
        number=number,
        url=url,
        started_at=from_us(started_at),
        duration_ms=duration_us / 1000,
        status_code=status_code,
        error=error,
        request_headers=_to_pairs(request),
        response_headers=_to_pairs(response),
        response_body=bytes(body),
        warnings=tuple(json.loads(warnings)) if warnings != "[]" else (),
    )


def _search_text(webhook: Webhook) -> str:
    # Searches ignore case alike in every database, whatever its locale.
    searched = [webhook.name, webhook.description, *[item.url for item in webhook.endpoints]]
    return "\n".join(searched).casefold()


def _optional_to_us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _to_endpoint(row: Row) -> Endpoint:
    id_, url, description, state, disabled_reason, disabled_at = row
    return Endpoint(
        url,
        id=id_,
        description=description,
        state=EndpointState(state),
        disabled_reason=disabled_reason,
        disabled_at=optional_from_us(disabled_at),
    )


def _to_interval(
    activated_at: int | None, activated_mark: str, deactivated_at: int | None, deactivated_mark: str
) -> ActiveInterval | None:
    if activated_at is None:
        return None
    return ActiveInterval(
        activated_at=activated_at,
        activated_mark=activated_mark,
        deactivated_at=deactivated_at,
        deactivated_mark=deactivated_mark,
    )


def _to_headers(text: bytes) -> HeaderSet:
    return HeaderSet([(name, value) for name, value in json.loads(bytes(text))])


def _to_secret(created_at: int | None, expires_at: int | None, value: bytes) -> Secret:
    return Secret(
        bytes(value).decode(), created_at=optional_from_us(created_at), expires_at=optional_from_us(expires_at)
    )


def _to_pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))
