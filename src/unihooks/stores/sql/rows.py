"""Turn values into rows and back, alike for every SQL store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from unihooks._base.times import from_us, optional_from_us, to_us
from unihooks._contract.filters import name_key
from unihooks._contract.planning import NewEvent, PlannedBody, SubscribedEndpoint, Subscriber
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import decode
from unihooks._message.secrets import Secret
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks._model.webhooks import ActiveInterval, Endpoint, EndpointState, EventSubscription, Webhook, WebhookStatus
from unihooks.abc import Claimed, Destination, Ended
from unihooks.stores.sql.refusals import key_was_used

Row = tuple[Any, ...]

WEBHOOK_COLUMNS = (
    "id, tenant, name, description, status, mapping, headers, key_id, version, created_at, updated_at, "
    "activated_at, activated_mark, deactivated_at, deactivated_mark, name_key"
)
ENDPOINT_COLUMNS = "id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at"
SECRET_COLUMNS = "webhook_id, position, value, key_id, created_at, expires_at"  # noqa: S105 - names of columns
SUBSCRIPTION_COLUMNS = "tenant, product, event_type, webhook_id, position"
# An event whose body is empty was erased: no JSON text is.
EVENT_COLUMNS = "id, tenant, product, event_type, body, created_at"
ATTEMPT_COLUMNS = (
    "delivery_id, number, url, started_at, duration_us, status_code, error, "
    "request_headers, response_headers, response_body, warnings"
)


def delivery_row(
    event: NewEvent,
    body: PlannedBody,
    endpoint_id: str,
    id_: str,
    now: int,
    *,
    due_at: int | None = None,
    token: int | None = None,
    replay_of: str | None = None,
) -> tuple[Any, ...]:
    """Return the row of a new delivery: pending, or failed when its body could not be made."""
    failed = body.failure is not None
    return (
        event.tenant,
        id_,
        event.id,
        body.webhook_id,
        endpoint_id,
        event.product,
        event.event_type,
        "none" if failed else "event" if body.body is None else "webhook",
        "failed" if failed else "pending",
        now if due_at is None else due_at,
        token,
        body.failure,
        replay_of,
        now,
        now if failed else None,
    )


def leased_as_planned(
    event: NewEvent, body: PlannedBody, endpoint_id: str, id_: str, token_and_version: tuple[int, int]
) -> Claimed:
    """Return a new delivery that is leased by the plan that makes it."""
    return Claimed(
        event.tenant,
        id_,
        event.id,
        body.webhook_id,
        endpoint_id,
        event.product,
        event.event_type,
        event.body if body.body is None else body.body,
        body.warnings,
        0,
        0,
        *token_and_version,
    )


def stored_event(event: NewEvent, id_: str, digest: bytes | None, created_at: int) -> Event:
    """Return the event that an INSERT answered for, which may be an earlier one of the same key."""
    if event.idempotency_key is not None and bytes(digest or b"") != event.digest:
        raise key_was_used()
    return event_of(event, id_, created_at)


def event_of(event: NewEvent, id_: str, created_at: int) -> Event:
    """Return a stored event without its payload."""
    return Event(id_, event.tenant, event.product, event.event_type, None, from_us(created_at))


def events_of(events: Iterable[NewEvent]) -> list[Event]:
    """Return stored events without their payloads."""
    made: list[Event] = []
    at, moment = -1, from_us(0)
    for event in events:
        # Those that are emitted together have one time, and turning it takes longer than all the rest.
        if event.created_at != at:
            at = event.created_at
            moment = from_us(at)
        made.append(Event(event.id, event.tenant, event.product, event.event_type, None, moment))
    return made


def webhook_row(webhook: Webhook) -> Row:
    """Return WEBHOOK_COLUMNS of a webhook."""
    interval = webhook.interval
    return (
        webhook.id,
        webhook.tenant,
        webhook.name,
        webhook.description,
        webhook.status.value,
        mapping_text(webhook.mapping),
        headers_bytes(webhook.headers),
        None,
        webhook.version,
        optional_to_us(webhook.created_at),
        optional_to_us(webhook.updated_at),
        interval and interval.activated_at,
        interval and interval.activated_mark,
        interval and interval.deactivated_at,
        interval and interval.deactivated_mark,
        name_key(webhook.name),
    )


def search_text(webhook: Webhook) -> str:
    """Return what searches look in: they ignore case alike in every database, whatever its locale."""
    searched = [webhook.name, webhook.description, *[item.url for item in webhook.endpoints]]
    return "\n".join(searched).casefold()


def endpoint_rows(webhook: Webhook) -> list[Row]:
    """Return ENDPOINT_COLUMNS of a webhook's endpoints."""
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
            optional_to_us(item.disabled_at),
        )
        for position, item in enumerate(webhook.endpoints)
    ]


def secret_rows(webhook: Webhook) -> list[Row]:
    """Return SECRET_COLUMNS of a webhook's secrets, the current one first."""
    return [
        (
            webhook.id,
            position,
            item.reveal().encode(),
            None,
            optional_to_us(item.created_at),
            optional_to_us(item.expires_at),
        )
        for position, item in enumerate(webhook.secrets)
    ]


def subscription_rows(webhook: Webhook) -> list[Row]:
    """Return SUBSCRIPTION_COLUMNS of a webhook's subscriptions."""
    return [
        (webhook.tenant, item.product, item.event_type, webhook.id, position)
        for position, item in enumerate(webhook.subscriptions)
    ]


def to_webhook(row: Row, endpoints: Iterable[Row], secrets: Iterable[Row], subscriptions: Iterable[Row]) -> Webhook:
    """Return the webhook of these rows, each in the order of position."""
    return Webhook(
        id=row[0],
        tenant=row[1],
        name=row[2],
        description=row[3],
        status=WebhookStatus(row[4]),
        mapping=to_mapping(row[5]),
        headers=to_headers(row[6]),
        version=row[8],
        created_at=optional_from_us(row[9]),
        updated_at=optional_from_us(row[10]),
        interval=to_interval(row[11:15]),
        endpoints=tuple(_to_endpoint(item) for item in endpoints),
        secrets=tuple(to_secret(item) for item in secrets),
        subscriptions=tuple(EventSubscription(item[1], item[2]) for item in subscriptions),
    )


def to_secret(row: Row) -> Secret:
    """Return the secret of a row of SECRET_COLUMNS."""
    return Secret(bytes(row[2]).decode(), created_at=optional_from_us(row[4]), expires_at=optional_from_us(row[5]))


def to_destination(row: Row, secrets: tuple[Secret, ...]) -> Destination:
    """Return where a delivery goes, from (endpoint id, webhook id, tenant, URL, headers, open, config_version)."""
    endpoint_id, webhook_id, tenant, url, headers, is_open, config_version = row
    return Destination(
        endpoint_id=endpoint_id,
        webhook_id=webhook_id,
        tenant=tenant,
        url=url,
        headers=to_headers(headers),
        secrets=secrets,
        open=bool(is_open),
        config_version=config_version,
    )


def to_subscriber(webhook: Row, endpoints: Sequence[Row]) -> Subscriber:
    """Return what planning needs, from (id, mapping, interval columns) and (id, disabled_at) by id."""
    interval = to_interval(webhook[2:6])
    assert interval is not None  # noqa: S101 - planning reads webhooks that were active once
    return Subscriber(
        webhook[0], interval, to_mapping(webhook[1]), tuple(SubscribedEndpoint(*row) for row in endpoints)
    )


def to_interval(columns: Row) -> ActiveInterval | None:
    """Return the interval of (activated at, mark, deactivated at, mark), None if never active."""
    activated_at, activated_mark, deactivated_at, deactivated_mark = columns
    if activated_at is None:
        return None
    return ActiveInterval(
        activated_at=activated_at,
        activated_mark=activated_mark,
        deactivated_at=deactivated_at,
        deactivated_mark=deactivated_mark,
    )


def mapping_text(mapping: PayloadMapping) -> str:
    """Render a mapping as JSON."""
    return json.dumps({"remove": list(mapping.remove), "rename": dict(mapping.rename)})


def to_mapping(text: str) -> PayloadMapping:
    """Return the mapping that `mapping_text` has rendered."""
    return PayloadMapping(**json.loads(text))


def headers_bytes(headers: HeaderSet) -> bytes:
    """Render headers with their values as JSON."""
    return json.dumps(headers.revealed()).encode()


def to_headers(body: bytes) -> HeaderSet:
    """Return the headers that `headers_bytes` has rendered."""
    return HeaderSet([(name, value) for name, value in json.loads(bytes(body))])


def to_event(row: Row) -> Event:
    """Return the event of a row of EVENT_COLUMNS."""
    body = bytes(row[4])
    return Event(row[0], row[1], row[2], row[3], decode(body) if body else None, from_us(row[5]))


def to_delivery(row: Row) -> Delivery:
    """Return a delivery.

    The row holds id, tenant, event, webhook, endpoint, product, event type,
    url, state, whether its lane is open, attempt count, created_at, due_at,
    reason and replay_of.
    """
    state = DeliveryState(row[8])
    pending = state is DeliveryState.PENDING
    return Delivery(
        id=row[0],
        tenant=row[1],
        event_id=row[2],
        webhook_id=row[3],
        endpoint_id=row[4],
        product=row[5],
        event_type=row[6],
        url=row[7],
        state=state,
        held=pending and not row[9],
        attempt_count=row[10],
        created_at=from_us(row[11]),
        next_attempt_at=from_us(row[12]) if pending else None,
        reason=row[13],
        replay_of=row[14],
    )


def attempt_id(delivery_id: str, number: int) -> str:
    """Return the id of an attempt, which is not stored."""
    return f"att_{delivery_id.partition('_')[2]}_{number}"


def to_attempt(row: Row) -> Attempt:
    """Return the attempt of a row of ATTEMPT_COLUMNS."""
    return Attempt(
        id=attempt_id(row[0], row[1]),
        delivery_id=row[0],
        number=row[1],
        url=row[2],
        started_at=from_us(row[3]),
        duration_ms=row[4] / 1000,
        status_code=row[5],
        error=row[6],
        request_headers=_to_pairs(row[7]),
        response_headers=_to_pairs(row[8]),
        response_body=bytes(row[9]),
        warnings=to_warnings(row[10]),
    )


def to_warnings(text: str) -> tuple[str, ...]:
    """Return warnings from their JSON."""
    return tuple(json.loads(text)) if text != "[]" else ()


def optional_to_us(moment: datetime | None) -> int | None:
    """Return `to_us`, or None for None."""
    return None if moment is None else to_us(moment)


def _to_endpoint(row: Row) -> Endpoint:
    return Endpoint(
        row[4],
        id=row[0],
        description=row[5],
        state=EndpointState(row[6]),
        disabled_reason=row[7],
        disabled_at=optional_from_us(row[8]),
    )


def _to_pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def failed_to_map(event: NewEvent, body: PlannedBody, endpoint_id: str, delivery_id: str) -> Ended:
    """Return what is told of a delivery whose body could not be made."""
    return Ended(
        tenant=event.tenant,
        webhook_id=body.webhook_id,
        endpoint_id=endpoint_id,
        event_id=event.id,
        delivery_id=delivery_id,
        state=DeliveryState.FAILED,
        reason=body.failure,
    )
