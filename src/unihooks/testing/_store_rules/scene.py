"""Drive a store as a dispatcher and its workers would, in the few words that the store contract's tests need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from attrs import evolve

from unihooks._base.ids import new_id
from unihooks._base.times import SECOND, from_us
from unihooks._contract.planning import NewEvent
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import encode
from unihooks._message.secrets import Secret
from unihooks._model.health import EndpointHealth
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks._model.webhooks import ActiveInterval, Endpoint, EndpointState, EventSubscription, Webhook, WebhookStatus
from unihooks.abc import (
    AttemptRow,
    Capacity,
    Claimed,
    DeliveryFilter,
    EmitOutcome,
    EventFilter,
    Lease,
    Planned,
    Recorded,
    Result,
    Store,
    WebhookFilter,
    Window,
)
from unihooks.testing._clock import FakeClock

ACME = "acme"
URL = "https://one.example.com/hooks"
OTHER_URL = "https://two.example.com/hooks"
DAY = 86_400
LONG = {"items": [{"a": 1}] * 5000}
TOO_LONG = PayloadMapping(rename={"items[*].a": "x" * 100})  # than a payload may be, when it is applied to LONG
EVERYTHING = (EventSubscription("shop", "*"),)


class Scene:
    """A store, its clock, and the tokens of the workers that play in a test."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self._tokens = count(1)

    def body(self, claimed: Claimed) -> bytes:
        """Return the bytes that a claimed delivery sends."""
        if claimed.rendering is None:
            return claimed.body
        return self.store.renderings([claimed.rendering])[claimed.rendering].render(claimed.body).body

    def rendered(self, delivery_id: str, tenant: str = ACME) -> bytes:
        """Return the bytes that a delivery of the log sends."""
        body, rendering = self.store.delivery_source(tenant, delivery_id)
        return body if rendering is None else rendering.render(body).body

    def unrendered(self) -> Delivery:
        """Make an event's only delivery fail because its body cannot be made."""
        delivery = self.pending(payload=LONG)
        claimed = next(one for one in self.claim() if one.id == delivery.id)
        reason = "the payload mapping failed: it is too long"
        result = Result(claimed=claimed, attempt=None, state=DeliveryState.FAILED, reason=reason)
        assert self.store.record([result]).accepted
        return self.delivery(delivery.id)

    # Configuration.

    def build(self, *urls: str, **changes: Any) -> Webhook:
        """Make a complete, inactive webhook without storing it."""
        now = self.store.now()
        complete: dict[str, Any] = {
            "name": "CRM sync",
            "endpoints": [Endpoint(url, id=new_id("end_", now)) for url in urls or (URL,)],
            "subscriptions": EVERYTHING,
            "id": new_id("whk_", now),
            "tenant": ACME,
            "version": 1,
            "secrets": [Secret.generate()],
            "created_at": from_us(now),
            "updated_at": from_us(now),
        }
        return Webhook(**{**complete, **changes})

    def inactive(self, *urls: str, **changes: Any) -> Webhook:
        """Store a webhook that was never active."""
        webhook = self.build(*urls, **changes)
        self.store.add_webhook(webhook, at_most=1000)
        return webhook

    def active(self, *urls: str, **changes: Any) -> Webhook:
        """Store a webhook and activate it."""
        return self.activate(self.inactive(*urls, **changes))

    def revise(self, webhook: Webhook, **changes: Any) -> Webhook:
        """Change some fields of the webhook as it is now."""
        return self.store.revise_webhook(webhook.tenant, webhook.id, lambda current: evolve(current, **changes))

    def activate(self, webhook: Webhook) -> Webhook:
        """Activate the webhook."""
        now = self.store.now()
        interval = ActiveInterval(activated_at=now, activated_mark=new_id("mrk_", now))
        return self.revise(webhook, status=WebhookStatus.ACTIVE, interval=interval)

    def deactivate(self, webhook: Webhook) -> Webhook:
        """Deactivate the webhook."""
        now = self.store.now()
        interval = self.store.get_webhook(webhook.tenant, webhook.id).interval
        assert interval is not None
        ended = evolve(interval, deactivated_at=now, deactivated_mark=new_id("mrk_", now))
        return self.revise(webhook, status=WebhookStatus.INACTIVE, interval=ended)

    def disable(self, webhook: Webhook) -> Endpoint:
        """Disable the webhook's first endpoint."""
        at = from_us(self.store.now())
        return self._set_first(webhook, state=EndpointState.DISABLED, disabled_reason="by hand", disabled_at=at)

    def enable(self, webhook: Webhook) -> Endpoint:
        """Enable the webhook's first endpoint."""
        return self._set_first(webhook, state=EndpointState.ENABLED, disabled_reason=None, disabled_at=None)

    def webhooks(self, tenant: str = ACME, *, window: Window | None = None, **filters: Any) -> list[Webhook]:
        """List webhooks."""
        return self.store.list_webhooks(tenant, WebhookFilter(**filters), window or Window(limit=250))

    def _set_first(self, webhook: Webhook, **changes: Any) -> Endpoint:
        def revise(current: Webhook) -> Webhook:
            return current.with_endpoint(evolve(current.endpoints[0], **changes))

        return self.store.revise_webhook(webhook.tenant, webhook.id, revise).endpoints[0]

    def endpoint(self, webhook: Webhook) -> Endpoint:
        """Return the webhook's first endpoint as it is now."""
        return self.store.get_webhook(webhook.tenant, webhook.id).endpoints[0]

    # Emitting.

    def event(self, event_type: str = "paid", payload: object = None, **changes: Any) -> NewEvent:
        """Make an event of the product "shop" without storing it."""
        now = self.store.now()
        return evolve(NewEvent(new_id("evt_", now), ACME, "shop", event_type, encode(payload), now), **changes)

    def submit(self, *events: NewEvent) -> list[EmitOutcome]:
        """Hand events to the store and wait for the outcome."""
        return self.store.submit_events(events).result(timeout=10)

    def emit(self, event_type: str = "paid", payload: object = None, **changes: Any) -> Event:
        """Store one event."""
        [outcome] = self.store.insert_events([self.event(event_type, payload, **changes)])
        assert isinstance(outcome, Event), outcome
        return outcome

    # Working.

    def lease(self, seconds: float = 30) -> Lease:
        """Make a lease with a token of its own."""
        return Lease(token=next(self._tokens), seconds=seconds)

    def plan(self, limit: int = 100, *, capacity: int = 0) -> Planned:
        """Plan; without capacity all deliveries are due now and not leased."""
        return self.store.plan(self.lease(), Capacity(capacity, capacity), limit)

    def planned(self, event_type: str = "paid", payload: object = None, **changes: Any) -> Event:
        """Emit and plan an event."""
        event = self.emit(event_type, payload, **changes)
        self.plan()
        return event

    def several(self, count: int) -> None:
        """Emit and plan this many events."""
        self.submit(*[self.event() for _ in range(count)])
        self.plan_all()

    def plan_all(self) -> None:
        """Plan until no event is left."""
        while self.plan().more:
            pass

    def claim(self, total: int = 100, per_endpoint: int = 100, *, seconds: float = 30) -> list[Claimed]:
        """Claim as another worker would."""
        return self.store.claim(self.lease(seconds), Capacity(total, per_endpoint))

    def claim_of_each(self, webhook: Webhook) -> list[Claimed]:
        """Emit and plan an event, and claim its delivery for each endpoint of a webhook, in their order."""
        self.planned()
        claimed = {one.endpoint_id: one for one in self.claim()}
        return [claimed[endpoint.id] for endpoint in webhook.endpoints]

    def pending(self, **event: Any) -> Delivery:
        """Emit and plan an event that leads to one delivery; return it."""
        emitted = self.planned(**event)
        [delivery] = self.deliveries(emitted.tenant, event_id=emitted.id)
        return delivery

    def claimed(self, **event: Any) -> Claimed:
        """Emit, plan and claim an event that leads to one delivery."""
        self.pending(**event)
        [claimed] = self.claim()
        return claimed

    def deliver(self, *claimed: Claimed, duration_us: int = 1_500) -> Recorded:
        """Record a success for each."""
        return self.record(claimed, DeliveryState.DELIVERED, duration_us=duration_us)

    def retry(self, *claimed: Claimed, after: float = 60) -> Recorded:
        """Record a failure for each, and that it is tried again."""
        return self.record(claimed, DeliveryState.PENDING, retry_in_us=int(after * SECOND))

    def answered(self, claimed: Claimed, status_code: int | None, state: DeliveryState) -> Recorded:
        """Record an attempt with this response; a delivery that is pending then is tried again in a minute."""
        retry_in_us = 60 * SECOND if state is DeliveryState.PENDING else None
        return self.record([claimed], state, status_code=status_code, retry_in_us=retry_in_us)

    def busy(self, claimed: Claimed, *, seconds: float, after: float = 60, last: bool = False) -> Recorded:
        """Record that the receiver wants no request for this many seconds."""
        state = DeliveryState.FAILED if last else DeliveryState.PENDING
        retry_in_us = None if last else int(after * SECOND)
        return self.record([claimed], state, retry_in_us=retry_in_us, wait_us=int(seconds * SECOND))

    def fail(self, *claimed: Claimed, **changes: Any) -> Recorded:
        """Record a final failure for each."""
        return self.record(claimed, DeliveryState.FAILED, reason="no retry is left", **changes)

    def record(self, claimed: Iterable[Claimed], state: DeliveryState, **changes: Any) -> Recorded:
        """Record an attempt for each, with an outcome as `result` makes it."""
        return self.store.record([self.result(one, state, **changes) for one in claimed])

    def settled(self, event_type: str, *, good: int = 0, bad: int = 0) -> Webhook:
        """Store a webhook for one type of event, and record this many successes and then failures."""
        webhook = self.active(subscriptions=[EventSubscription("shop", event_type)])
        for settle, times in ((self.deliver, good), (self.retry, bad)):
            for _ in range(times):
                self.planned(event_type)
                settle(*[one for one in self.claim() if one.webhook_id == webhook.id])
        return webhook

    def failing_for(self, *, days: float) -> None:
        """Record failures of due deliveries, now and each half day until the end; all are tried again."""
        left = days * DAY
        while True:
            claimed = self.claim()
            places = self.store.destinations([one.endpoint_id for one in claimed])
            urls = [places[one.endpoint_id].url for one in claimed]
            self.store.record(
                [
                    self.result(one, DeliveryState.PENDING, url=url, retry_in_us=0)
                    for one, url in zip(claimed, urls, strict=True)
                ]
            )
            if left <= 0:
                return
            step = min(DAY / 2, left)
            self.clock.advance(step)
            left -= step

    def result(
        self,
        claimed: Claimed,
        state: DeliveryState,
        *,
        url: str = URL,
        status_code: int | None = None,
        duration_us: int = 1_500,
        **changes: Any,
    ) -> Result:
        """Make the outcome of an attempt that starts and ends now; without a status, a failure is a timeout."""
        if state is DeliveryState.DELIVERED:
            status_code = status_code or 200
        attempt = AttemptRow(
            number=claimed.attempt_count + 1,
            url=url,
            started_at=self.store.now(),
            duration_us=duration_us,
            status_code=status_code,
            error=None if status_code else "timed out",
            request_headers=json.dumps([["webhook-id", claimed.event_id]]),
            response_headers=json.dumps([["x-seen", "yes"], ["x-seen", "twice"]]),
            response_body=b"\x00thanks",
            warnings=("slow",),
        )
        return Result(claimed, attempt, state, **changes)

    def expire(self, seconds: float, *, limit: int = 100) -> int:
        """Cancel deliveries that have been held this long."""
        return self.store.expire_held(self.store.now() - int(seconds * SECOND), limit)

    def prune(self, seconds: float, *, limit: int = 100) -> int:
        """Remove older events."""
        return self.store.prune(self.store.now() - int(seconds * SECOND), limit)

    def forget_keys(self, seconds: float, *, limit: int = 100) -> int:
        """Forget the idempotency keys of events that are older."""
        return self.store.forget_keys(self.store.now() - int(seconds * SECOND), limit)

    def erase(self, *events: Event, tenant: str = ACME) -> int:
        """Erase events by their ids."""
        count, last = self.store.erase(tenant, event_ids=ids(events), limit=100)
        assert last is None
        return count

    def erase_tenant(self, tenant: str = ACME) -> int:
        """Erase a tenant, step by step; return how many events went."""
        erased, after = 0, ""
        while True:
            count, last = self.store.erase_tenant(tenant, after=after, limit=2)
            erased += count
            if last is None:
                return erased
            after = last

    # The log.

    def events(self, tenant: str = ACME, *, window: Window | None = None, **filters: Any) -> list[Event]:
        """List events."""
        return self.store.list_events(tenant, EventFilter(**filters), window or Window(limit=250))

    def deliveries(self, tenant: str = ACME, *, window: Window | None = None, **filters: Any) -> list[Delivery]:
        """List deliveries."""
        return self.store.list_deliveries(tenant, DeliveryFilter(**filters), window or Window(limit=250))

    def cancel_all(self) -> None:
        """Cancel every pending delivery."""
        for one in self.deliveries(state=DeliveryState.PENDING):
            self.store.cancel(one.tenant, one.id, "by hand")

    def health(self, webhook: Webhook, endpoint: Endpoint | None = None) -> EndpointHealth:
        """Return the health of an endpoint of the webhook, the first by default."""
        wanted = endpoint or webhook.endpoints[0]
        found = self.store.webhook_health(webhook.tenant, [webhook.id])[webhook.id].endpoints
        return next(one for one in found if one.endpoint_id == wanted.id)

    def delivery(self, delivery_id: str, tenant: str = ACME) -> Delivery:
        """Return one delivery as it is now."""
        return next(one for one in self.deliveries(tenant) if one.id == delivery_id)

    def attempts(self, delivery_id: str, *, window: Window | None = None) -> list[Attempt]:
        """List attempts of a delivery."""
        return self.store.list_attempts(ACME, delivery_id, window or Window(limit=250))

    def recover(self, webhook: Webhook, since: int = 0, until: int = 2**60, *, limit: int = 100) -> int:
        """Recover in batches until there are no more events; return how many deliveries were made."""
        made, after = 0, ""
        while True:
            more, last = self.store.recover(
                webhook.tenant, webhook.id, since, until, after=after, limit=limit, most=1_000
            )
            made += more
            if last is None:
                return made
            assert last > after, "recover goes on from the last event looked at"
            after = last


def ids(rows: Sequence[Any]) -> list[str]:
    """Return the rows' ids."""
    return [row.id for row in rows]
