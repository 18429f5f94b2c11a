"""Which deliveries an event leads to: decided without any I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field, frozen

from unihooks._base.times import to_us
from unihooks._message.conditions import Condition
from unihooks._message.rendering import Rendering
from unihooks._model.webhooks import ActiveInterval, Webhook

MOST_PER_EVENT = 10_000


@define  # One is made for every event, and a frozen one would take three times as long.
class NewEvent:
    """An event as it is stored; `body` is the payload's JSON, times are microseconds.

    `digest` is set together with `idempotency_key`: equal digests mean the same product, event type, payload and
    subject.
    """

    id: str
    tenant: str
    product: str
    event_type: str
    body: bytes
    created_at: int
    idempotency_key: str | None = None
    digest: bytes | None = None
    subject: str | None = None


@frozen
class Match:
    """The deliveries of an event to one webhook: the endpoints that get it, and the id of its rendering.

    Without a rendering it gets the event's own bytes. If it is `ordered`, events of one subject wait for each other.
    """

    webhook_id: str
    endpoint_ids: tuple[str, ...]
    rendering: str | None = None
    ordered: bool = False


@frozen
class SubscribedEndpoint:
    """An endpoint as planning needs it; `disabled_at` is None while it is enabled."""

    id: str
    disabled_at: int | None = None


@frozen
class Subscriber:
    """A webhook with a subscription that matches, as planning needs it.

    `whole` is its match for every event while it is active, None if that depends on the event; `is_plain` says that
    planning has to look only at the kind of event. `where` has the conditions of each of its subscriptions to this kind
    of event, of which those of one must hold; it is empty if one has none. If its policy `is_limited`, only `claim`
    leases its deliveries.
    """

    webhook_id: str
    interval: ActiveInterval
    rendering: str | None
    endpoints: tuple[SubscribedEndpoint, ...]
    where: tuple[tuple[Condition, ...], ...] = ()
    is_limited: bool = False
    ordered: bool = False
    whole: Match | None = field(init=False)
    is_plain: bool = field(init=False)

    @whole.default
    def _whole_if_all_endpoints_are_enabled(self) -> Match | None:
        # Made once, since nearly every event gets the same.
        if not self.endpoints or any(item.disabled_at is not None for item in self.endpoints):
            return None
        return Match(self.webhook_id, tuple(item.id for item in self.endpoints), self.rendering, self.ordered)

    @is_plain.default
    def _has_neither_conditions_nor_order(self) -> bool:
        return not (self.where or self.ordered)


def subscriber(webhook: Webhook) -> Subscriber | None:
    """Return what planning needs of a webhook, or None if it was never active."""
    if webhook.interval is None:
        return None
    endpoints = tuple(
        SubscribedEndpoint(item.id, None if item.disabled_at is None else to_us(item.disabled_at))
        for item in sorted(webhook.endpoints, key=lambda item: item.id)
    )
    rendering = Rendering.of(webhook.mapping)
    return Subscriber(
        webhook.id,
        webhook.interval,
        None if rendering is None else rendering.id,
        endpoints,
        is_limited=webhook.policy.is_limited,
        ordered=webhook.ordered,
    )


def alternatives(of_each: Iterable[tuple[Condition, ...]]) -> tuple[tuple[Condition, ...], ...]:
    """Return the conditions of several subscriptions to one kind of event; nothing if one of them has none."""
    given = tuple(dict.fromkeys(of_each))
    return () if () in given else given


def is_wanted(where: Iterable[tuple[Condition, ...]], payload: Any) -> bool:
    """Return whether all conditions of one alternative hold for a payload."""
    return any(all(one.holds(payload) for one in each) for each in where)


def plan_event(event: NewEvent, subscribers: Iterable[Subscriber], *, now: int) -> list[Match]:
    """Return the deliveries of the event to each subscriber, planned at `now`."""
    matches: list[Match] = []
    for one in subscribers:
        if not one.interval.contains(event.created_at, event.id, now=now):
            continue
        if one.whole is not None:
            matches.append(one.whole)
        elif endpoint_ids := _endpoints_for(one, event):
            matches.append(Match(one.webhook_id, endpoint_ids, one.rendering, one.ordered))
    return matches


def _endpoints_for(one: Subscriber, event: NewEvent) -> tuple[str, ...]:
    # Events emitted before the endpoint was disabled are planned and held.
    return tuple(item.id for item in one.endpoints if item.disabled_at is None or event.created_at < item.disabled_at)
