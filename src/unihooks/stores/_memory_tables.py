"""The memory store's tables, and the changes that several of its verbs share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from attrs import define, evolve, field

from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._contract.planning import NewEvent, PlannedBody, Subscriber, subscriber
from unihooks._contract.statistics import HOUR
from unihooks._model.catalog import EVERY_EVENT
from unihooks._model.checks import not_found
from unihooks._model.log import DeliveryState, Event
from unihooks._model.webhooks import Endpoint, EndpointState, EventSubscription, Webhook
from unihooks.abc import ENDPOINT_REMOVED, Result, WorkerSeen
from unihooks.exceptions import StoreError
from unihooks.stores._memory_rows import AnswerRow, DeliveryRow, EventRow, Lane
from unihooks.stores.sql.hours import hour_rows
from unihooks.stores.sql.refusals import key_was_used

_Subscribers = dict[EventSubscription, list[Subscriber]]


@define(eq=False)
class Tables:
    """Be all that a memory store keeps; whoever holds its lock may call this."""

    webhooks: dict[str, Webhook] = field(factory=dict)
    lanes: dict[str, Lane] = field(factory=dict)
    open_lanes: dict[str, Lane] = field(factory=dict)
    config_versions: Counter[str] = field(factory=Counter)
    events: dict[str, EventRow] = field(factory=dict)
    keys: dict[tuple[str, str], EventRow] = field(factory=dict)
    unplanned: dict[str, deque[EventRow]] = field(factory=dict)
    deliveries: dict[str, DeliveryRow] = field(factory=dict)
    workers: dict[str, WorkerSeen] = field(factory=dict)
    hours: dict[tuple[str, int], list[int]] = field(factory=dict)
    answers: dict[str, dict[str, AnswerRow]] = field(factory=dict)
    changes: int = 0
    _subscribers: dict[str, tuple[int, _Subscribers]] = field(factory=dict)

    def webhook(self, tenant: str, webhook_id: str) -> Webhook:
        """Return a webhook of the tenant, or raise `NotFound`."""
        webhook = self.webhooks.get(webhook_id)
        if webhook is None or webhook.tenant != tenant:
            raise not_found("webhook", webhook_id, tenant)
        return webhook

    def delivery(self, tenant: str, delivery_id: str) -> DeliveryRow:
        """Return a delivery of the tenant, or raise `NotFound`."""
        row = self.deliveries.get(delivery_id)
        if row is None or row.event.tenant != tenant:
            raise not_found("delivery", delivery_id, tenant)
        return row

    def held(self, row: DeliveryRow) -> bool:
        """Say whether a delivery waits for its lane to open."""
        return row.pending and row.endpoint_id not in self.open_lanes

    # Configuration.

    def put_webhook(self, webhook: Webhook, now: int) -> None:
        """Store a webhook, new or changed, and let its lanes follow."""
        old = self.webhooks.get(webhook.id)
        before = {} if old is None else {item.id: item for item in old.endpoints}
        self.webhooks[webhook.id] = webhook
        self.config_versions[webhook.tenant] += 1
        self.changes += 1
        for endpoint in webhook.endpoints:
            self._follow(webhook, endpoint, before.pop(endpoint.id, None), now)
        self.drop_lanes(before, ENDPOINT_REMOVED)

    def drop_lanes(self, endpoint_ids: Iterable[str], reason: str) -> None:
        """Remove the lanes and cancel their pending deliveries."""
        for endpoint_id in endpoint_ids:
            self.open_lanes.pop(endpoint_id, None)
            for row in self.lanes.pop(endpoint_id).pending():
                row.cancel(reason)

    def disable(self, lane: Lane, reason: str, now: int, *, url: str | None = None) -> bool:
        """Disable the endpoint unless it is, or, with a URL, unless it has another one; return whether it was done."""
        webhook = self.webhooks[lane.webhook_id]
        endpoint = webhook.endpoint(lane.endpoint_id)
        if endpoint is None or not endpoint.enabled or url not in {None, endpoint.url}:
            return False
        disabled = evolve(endpoint, state=EndpointState.DISABLED, disabled_reason=reason, disabled_at=from_us(now))
        self.put_webhook(webhook.with_endpoint(disabled), now)
        return True

    def subscribers(self, event: NewEvent) -> Iterable[Subscriber]:
        """Return the webhooks with a subscription that matches, each once."""
        config_version = self.config_versions[event.tenant]
        cached = self._subscribers.get(event.tenant)
        if cached is None or cached[0] != config_version:
            cached = self._subscribers[event.tenant] = (config_version, self._by_subscription(event.tenant))
        exact = cached[1].get(EventSubscription(event.product, event.event_type), ())
        every = cached[1].get(EventSubscription(event.product, EVERY_EVENT), ())
        return {one.webhook_id: one for one in (*exact, *every)}.values()

    def _follow(self, webhook: Webhook, endpoint: Endpoint, before: Endpoint | None, now: int) -> None:
        lane = self.lanes.get(endpoint.id)
        if lane is None:
            lane = self.lanes[endpoint.id] = Lane(webhook.tenant, webhook.id, endpoint.id, now)
        if before is not None and before.url != endpoint.url:
            for row in lane.pending():
                row.url = endpoint.url
        if before is not None and endpoint.enabled and not before.enabled:
            lane.failing_since, lane.failures = None, 0
        lane.set_open(now, open_=webhook.active and endpoint.enabled)
        if lane.open:
            self.open_lanes[endpoint.id] = lane
        else:
            self.open_lanes.pop(endpoint.id, None)

    def _by_subscription(self, tenant: str) -> _Subscribers:
        index: _Subscribers = {}
        for webhook in self.webhooks.values():
            one = subscriber(webhook) if webhook.tenant == tenant else None
            if one is not None:
                for subscription in webhook.subscriptions:
                    index.setdefault(subscription, []).append(one)
        return index

    # Events and deliveries.

    def add_event(self, event: NewEvent) -> Event:
        """Store an event; with a key that was used, return the first one or raise `IdempotencyConflict`."""
        key = None if event.idempotency_key is None else (event.tenant, event.idempotency_key)
        if key in self.keys:
            return _same_event(self.keys[key], event)
        if event.id in self.events:
            raise StoreError(f"the event id {event.id!r} is taken; make a new one", name="id")
        row = self.events[event.id] = EventRow(event)
        self.changes += 1
        if key is not None:
            self.keys[key] = row
        self.unplanned.setdefault(event.tenant, deque()).append(row)
        return row.to_event(payload=False)

    def add_deliveries(self, event: EventRow, planned: PlannedBody, now: int) -> list[DeliveryRow]:
        """Store what one webhook gets of an event, due now; leave out what it was given already."""
        wanted = [endpoint_id for endpoint_id in planned.endpoint_ids if event.newest(endpoint_id) is None]
        return [self.add_delivery(event, planned, endpoint_id, now) for endpoint_id in wanted]

    def add_delivery(
        self, event: EventRow, planned: PlannedBody, endpoint_id: str, now: int, *, replay_of: str | None = None
    ) -> DeliveryRow:
        """Store one delivery, due now, or failed if there is no body for it."""
        body = event.new.body if planned.body is None else planned.body
        endpoint = self.webhooks[planned.webhook_id].endpoint(endpoint_id)
        row = DeliveryRow(
            id=new_id("dlv_", now),
            event=event.new,
            webhook_id=planned.webhook_id,
            endpoint_id=endpoint_id,
            url="" if endpoint is None else endpoint.url,
            body=None if planned.failure else body,
            created_at=now,
            warnings=planned.warnings,
            replay_of=replay_of,
        )
        self.deliveries[row.id] = row
        self.changes += 1
        event.deliveries.append(row)
        if planned.failure:
            row.end(DeliveryState.FAILED, planned.failure)
        else:
            self.lanes[endpoint_id].schedule(row, now)
        return row

    def count(self, result: Result, now: int) -> None:
        """Count an attempt in its hour."""
        for endpoint_id, hour, *counts in hour_rows([result], now):
            before = self.hours.get((endpoint_id, hour), [0] * len(counts))
            self.hours[endpoint_id, hour] = [a + b for a, b in zip(before, counts, strict=True)]

    def forget_hours(self, older_than: int) -> None:
        """Forget what was counted before."""
        self.hours = {key: counts for key, counts in self.hours.items() if key[1] >= older_than // HOUR}

    def forget_answers(self, older_than: int) -> None:
        """Forget answers that were given before."""
        kept = {tenant: _newer(rows, older_than) for tenant, rows in self.answers.items()}
        self.answers = {tenant: rows for tenant, rows in kept.items() if rows}

    def remove_event(self, event: EventRow) -> None:
        """Remove an event with its deliveries and their attempts, and free its key."""
        del self.events[event.new.id]
        self.forget_key(event)
        for row in event.deliveries:
            del self.deliveries[row.id]

    def forget_keys(self, older_than: int, limit: int) -> int:
        """Free keys of old events; return how many."""
        old = [one for one in self.keys.values() if one.new.created_at < older_than][:limit]
        for event in old:
            self.forget_key(event)
        return len(old)

    def forget_key(self, event: EventRow) -> None:
        """Free the event's key, if it has one."""
        if event.new.idempotency_key is not None:
            del self.keys[event.new.tenant, event.new.idempotency_key]
            event.new = evolve(event.new, idempotency_key=None, digest=None)

    def erase_events(self, chosen: list[EventRow], before: int | None, limit: int) -> tuple[int, str | None]:
        """Empty the first `limit` of them, made before a time if one is given; return how many, and where to go on."""
        told = [one for one in chosen[:limit] if one.new.body and (before is None or one.new.created_at < before)]
        for event in told:
            self._erase(event)
        return len(told), chosen[limit - 1].new.id if len(chosen) > limit else None

    def _erase(self, event: EventRow) -> None:
        self.forget_key(event)
        event.new = evolve(event.new, body=b"")
        waiting = self.unplanned.get(event.new.tenant, ())
        if event in waiting:
            self.unplanned[event.new.tenant].remove(event)
        if not self.unplanned.get(event.new.tenant, True):
            del self.unplanned[event.new.tenant]
        event.planned = True
        for row in event.deliveries:
            row.erase(event.new)


def _newer(rows: dict[str, AnswerRow], than: int) -> dict[str, AnswerRow]:
    return {key: row for key, row in rows.items() if row.created_at >= than}


def _same_event(first: EventRow, event: NewEvent) -> Event:
    if first.new.digest != event.digest:
        raise key_was_used()
    return first.to_event(payload=False)
