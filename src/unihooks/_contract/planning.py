"""Decide, without any I/O, which deliveries an event leads to and with which bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from unihooks._base.times import to_us
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import decode, encode
from unihooks._model.webhooks import ActiveInterval, Webhook
from unihooks.exceptions import InvalidMapping, InvalidPayload


@define  # one is made for every event, and frozen ones take three times as long
class NewEvent:
    """Be an event as it is stored; `body` is the payload's JSON, times are microseconds.

    `digest` is set together with `idempotency_key`: equal digests mean the
    same product, event type and payload.
    """

    id: str
    tenant: str
    product: str
    event_type: str
    body: bytes
    created_at: int
    idempotency_key: str | None = None
    digest: bytes | None = None


@define  # likewise
class PlannedBody:
    """Be what one webhook gets of one event, and through which endpoints.

    `body` is None when the event's own bytes are sent. `failure` is set when
    the mapping failed: the deliveries are then stored as failed, unsent.
    """

    webhook_id: str
    endpoint_ids: tuple[str, ...]
    body: bytes | None = None
    warnings: tuple[str, ...] = ()
    failure: str | None = None


@frozen
class SubscribedEndpoint:
    """Be an endpoint as planning needs it; `disabled_at` is None while it is enabled."""

    id: str
    disabled_at: int | None = None


@frozen
class Subscriber:
    """Be a webhook with a subscription that matches, as planning needs it.

    `plain` is what it gets of every event, None if that depends on the event.
    """

    webhook_id: str
    interval: ActiveInterval
    mapping: PayloadMapping
    endpoints: tuple[SubscribedEndpoint, ...]
    plain: PlannedBody | None = field(init=False)

    @plain.default
    def _plain_if_all_events_are_alike(self) -> PlannedBody | None:
        # Looked at for each event, and mostly so.
        if self.mapping or not self.endpoints or any(item.disabled_at is not None for item in self.endpoints):
            return None
        return PlannedBody(self.webhook_id, tuple(item.id for item in self.endpoints))


def subscriber(webhook: Webhook) -> Subscriber | None:
    """Return what planning needs of a webhook, or None if it was never active."""
    if webhook.interval is None:
        return None
    endpoints = tuple(
        SubscribedEndpoint(item.id, None if item.disabled_at is None else to_us(item.disabled_at))
        for item in sorted(webhook.endpoints, key=lambda item: item.id)
    )
    return Subscriber(webhook.id, webhook.interval, webhook.mapping, endpoints)


def plan_event(event: NewEvent, subscribers: Iterable[Subscriber], *, now: int) -> list[PlannedBody]:
    """Return what each subscriber gets of the event, planned at `now`; map once per webhook."""
    planned: list[PlannedBody] = []
    payload: object = None
    for one in subscribers:
        if not one.interval.contains(event.created_at, event.id, now=now):
            continue
        if one.plain is not None:
            planned.append(one.plain)
        elif endpoint_ids := _open_endpoints(one, event):
            if payload is None and one.mapping:
                payload = decode(event.body)
            planned.append(_plan_one(one, endpoint_ids, payload))
    return planned


def recover_event(event: NewEvent, one: Subscriber, endpoint_ids: Sequence[str]) -> PlannedBody:
    """Return what the subscriber gets of an event through `endpoint_ids`, whenever it was active."""
    payload = decode(event.body) if one.mapping else None
    return _plan_one(one, tuple(endpoint_ids), payload)


def _open_endpoints(one: Subscriber, event: NewEvent) -> tuple[str, ...]:
    # What was emitted before the endpoint was disabled is planned and held.
    return tuple(item.id for item in one.endpoints if item.disabled_at is None or event.created_at < item.disabled_at)


def _plan_one(one: Subscriber, endpoint_ids: tuple[str, ...], payload: object) -> PlannedBody:
    if not one.mapping:
        return PlannedBody(one.webhook_id, endpoint_ids)
    try:
        result, warnings = one.mapping.apply(payload)
        return PlannedBody(one.webhook_id, endpoint_ids, encode(result), tuple(warnings))
    except (InvalidMapping, InvalidPayload) as error:
        return PlannedBody(one.webhook_id, endpoint_ids, failure=f"the payload mapping failed: {error.message}")
