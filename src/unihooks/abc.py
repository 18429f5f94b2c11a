"""The contracts of the pluggable parts: the store, and the emitter that application code sees.

A store keeps configuration, events, deliveries, attempts and lanes. Its verbs
are synchronous, work on batches and may be called from any thread. Times are
whole microseconds since 1970 by the store's own clock (`now`). Every verb is
one transaction: it happens whole or not at all, and has happened durably when
it returns (`plan` and `claim` when the next does). Drivers' errors leave a
store as `StoreError`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from unihooks._base.ids import new_id
from unihooks._base.times import Clock
from unihooks._contract.filters import DeliveryFilter, EventFilter, WebhookFilter, Window
from unihooks._contract.idempotency import IdempotencyRecord, StoreAnswers
from unihooks._contract.leasing import (
    ENDPOINT_REMOVED,
    ERASED,
    FAILING_TOO_LONG,
    HELD_TOO_LONG,
    WEBHOOK_DELETED,
    AttemptRow,
    Capacity,
    Claimed,
    Ended,
    Lease,
    Planned,
    QueueStatistics,
    Recorded,
    Result,
    Work,
    WorkerSeen,
)
from unihooks._contract.planning import NewEvent, PlannedBody, Subscriber, plan_event, recover_event, subscriber
from unihooks._contract.statistics import Statistics
from unihooks._message.rendering import Rendering
from unihooks._message.requests import Destination
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.webhooks import Webhook

__all__ = [
    "ENDPOINT_REMOVED",
    "ERASED",
    "FAILING_TOO_LONG",
    "HELD_TOO_LONG",
    "WEBHOOK_DELETED",
    "AttemptRow",
    "Capacity",
    "Claimed",
    "DeliveryFilter",
    "Destination",
    "EmitOutcome",
    "Emitter",
    "Ended",
    "EventFilter",
    "IdempotencyRecord",
    "Lease",
    "NewEvent",
    "Planned",
    "PlannedBody",
    "QueueStatistics",
    "Recorded",
    "Rendering",
    "Result",
    "Statistics",
    "Store",
    "StoreAnswers",
    "Subscriber",
    "WebhookFilter",
    "Window",
    "Work",
    "WorkerSeen",
    "new_id",
    "plan_event",
    "recover_event",
    "subscriber",
]


@runtime_checkable
class Emitter(Protocol):
    """Be what host code that only emits depends on."""

    def emit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
    ) -> Event:
        """Store the event durably and return it."""

    async def aemit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
    ) -> Event:
        """Do what `emit` does without blocking the event loop."""


EmitOutcome = Event | Exception


class Store(Statistics, StoreAnswers):
    """Keep everything; the rules that every implementation keeps stand with its verbs."""

    @abstractmethod
    def use_clock(self, clock: Clock | None) -> None:
        """Take all times from `clock`; None means the store's own (the server's, where there is one)."""

    @abstractmethod
    def now(self) -> int:
        """Return the time by the store's clock."""

    @abstractmethod
    def migrate(self) -> list[str]:
        """Create or bring up to date what the store needs; return the names of the steps taken."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was handed over and free threads and connections; a later call opens them again."""

    def wake(self) -> None:
        """Let the workers of other processes look for work soon; a hint that nothing depends on. Never waits."""

    # Configuration. Each change raises the tenant's config_version in its transaction.

    @abstractmethod
    def add_webhook(self, webhook: Webhook, *, at_most: int) -> None:
        """Store a complete webhook; `Conflict` (name "webhooks") when the tenant has `at_most` already."""

    @abstractmethod
    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        """Return the webhook or raise `NotFound`."""

    @abstractmethod
    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        """Return webhooks, newest first (by id)."""

    @abstractmethod
    def revise_webhook(self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        """Replace a webhook by `revise(current)`, whose errors pass through and change nothing.

        No other change comes between. The lane of each endpoint is then open
        exactly if the webhook is active and the endpoint enabled; closing and
        opening touches no delivery. New endpoints get a lane; those left out
        lose theirs and their pending deliveries are cancelled
        (ENDPOINT_REMOVED). An endpoint that becomes enabled starts with fresh
        health; time held counts for no health. Return the new webhook. `NotFound` if there is none.
        """

    @abstractmethod
    def delete_webhook(self, tenant: str, webhook_id: str) -> None:
        """Delete the webhook; cancel its pending deliveries (WEBHOOK_DELETED); the log stays. Or `NotFound`."""

    @abstractmethod
    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        """Return the current destination of each endpoint that exists, with the config_version read before it."""

    @abstractmethod
    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the configuration config_version of each tenant; 0 for an unknown one."""

    def renderings(self, ids: Collection[str]) -> dict[str, Rendering]:  # noqa: ARG002 - until deliveries name one
        """Return the renderings with these ids; one that is unknown is left out."""
        return {}

    # Emitting.

    @abstractmethod
    def submit_events(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        """Insert the events durably, together with what others submit at the same time.

        The future's result has one entry per event, in order: the stored
        event's `Event` without payload (payload None), or the error that this
        event alone met. With an idempotency key that the tenant has used, it
        is the first event if the digests are equal, `IdempotencyConflict` otherwise.
        """

    def insert_events(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        """Do what `submit_events` does and wait for its result; a store may know a cheaper way to wait."""
        return self.submit_events(events).result()

    @abstractmethod
    def emit_on(self, connection: Any, event: NewEvent) -> Event:
        """Insert the event with one statement on a host's synchronous connection; never commit.

        `StoreError` if the connection leads to another database, `TypeError` if its kind is not known.
        """

    @abstractmethod
    async def aemit_on(self, connection: Any, event: NewEvent) -> Event:
        """Do what `emit_on` does on a synchronous or asynchronous connection."""

    # Working.

    @abstractmethod
    def change_token(self) -> object:
        """Return a value that differs after other processes committed; cheap, never waits for a lock."""

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002 - few stores hear of it
        """Call `changed` in some thread when `change_token` has come to differ; return what ends that. A hint."""
        return lambda: None

    @abstractmethod
    def work(self) -> Work:
        """Return whether there are new events, and when an open lane is next due."""

    @abstractmethod
    def plan(self, lease: Lease, capacity: Capacity, limit: int) -> Planned:
        """Turn up to `limit` new events into deliveries, tenants in turn, and mark them planned.

        Events are claimed first, then the tenants' configuration are read, then `plan_event` decides.
        Deliveries for lanes that are open and have room are leased to the caller; the others are due now. A delivery
        that failed to map is stored as failed. An event is planned once, whoever else plans; a large fan-out may take
        several calls.
        """

    @abstractmethod
    def claim(self, lease: Lease, capacity: Capacity) -> list[Claimed]:
        """Lease due deliveries of open lanes with capacity, the longest due lanes first, tenants in turn.

        A delivery whose lease ended is due again, whoever holds it.
        """

    @abstractmethod
    def record(self, results: Sequence[Result]) -> Recorded:
        """Store attempts, states and lane health of those results whose token still holds the delivery.

        A result whose token does not is dropped whole. Of one whose delivery was cancelled meanwhile the attempt is
        kept, unless the event was erased, and nothing else changes; it is not accepted. Success clears the endpoint's
        health; an endpoint with nothing but failures for 5 days is disabled (FAILING_TOO_LONG), as is one whose
        result says so. A result without an attempt fails its delivery and changes nothing else.
        """

    @abstractmethod
    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give leased deliveries back, due now, where the token still holds them."""

    @abstractmethod
    def heartbeat(self, worker_id: str, *, gone: bool = False) -> None:
        """Note that this worker lives, or that it has ended."""

    @abstractmethod
    def expire_held(self, older_than: int, limit: int) -> int:
        """Cancel up to `limit` pending deliveries held (and stored) since before `older_than`; return how many."""

    @abstractmethod
    def prune(self, older_than: int, limit: int) -> int:
        """Remove up to `limit` planned events made before `older_than`, with all that belongs to them.

        Never one with a pending delivery. Return how many events went.
        """

    @abstractmethod
    def forget_keys(self, older_than: int, limit: int) -> int:
        """Forget up to `limit` idempotency keys (and digests) of events made before `older_than`; return how many.

        The events stay. A key that is forgotten makes a new event.
        """

    @abstractmethod
    def erase(
        self,
        tenant: str,
        *,
        event_ids: Collection[str] | None = None,
        before: int | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[int, str | None]:
        """Erase what up to `limit` of the tenant's events (by id, from the id `after` on) said, for good.

        The events are those of `event_ids`, or else those made before `before`. An erased event keeps its row with an
        empty body and no key, counts as planned and is never sent, replayed (`Conflict`) or recovered; listed,
        its payload is None. Its mapped bodies go, its attempts lose headers,
        bodies and warnings, its pending deliveries are cancelled (ERASED; a
        result that comes later is dropped), and a reason that a failed mapping
        gave becomes ERASED. Return how many were erased now, without those
        that were before, and the last event looked at, None when there are no
        more. With None the bytes are gone from the store's files as well, as
        far as the store has them in hand; `StoreError` if somebody holds them.
        """

    # The log.

    @abstractmethod
    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        """Return events with their payloads, newest first (by id)."""

    @abstractmethod
    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        """Return deliveries, newest first (by id)."""

    @abstractmethod
    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        """Return attempts of a delivery, newest first (by number), or raise `NotFound`."""

    @abstractmethod
    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        """Count deliveries, up to `most`."""

    @abstractmethod
    def delivery_body(self, tenant: str, delivery_id: str) -> bytes:
        """Return the bytes that the delivery sends; empty if they were erased or never made. Or `NotFound`."""

    @abstractmethod
    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        """Make a new delivery, due now, with the stored body of this one, whose row stays as it is.

        `NotFound` if there is none; `Conflict` if its endpoint is gone or its body was never made.
        """

    @abstractmethod
    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
    ) -> tuple[int, str | None]:
        """Replay, oldest first, what the filter shows among up to `limit` deliveries after one id and up to `last`.

        Those that are pending or cannot be replayed are left out. Return how
        many were made and the last delivery looked at, None when there are no more.
        """

    @abstractmethod
    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        """Cancel a pending delivery; a result that comes later is dropped.

        `NotFound` if there is none, `Conflict` if it is not pending.
        """

    @abstractmethod
    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Plan for one webhook what it missed among up to `limit` events after the id `after`.

        Of events made in [since, until) that it is subscribed to, each enabled
        endpoint gets a delivery if it never had one, or a replay if its newest
        one failed or was held too long. One that could not be mapped is mapped
        anew, and repeated only if that works now. Return how many were made and
        the last event looked at, None when there are no more. `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def statistics(self) -> QueueStatistics:
        """Return the state of the queue over all tenants; workers seen within 60 s."""

    @abstractmethod
    def oldest_unplanned(self) -> int | None:
        """Return when the oldest event that is not planned was made; cheap."""
