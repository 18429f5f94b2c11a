"""Emit events: check them, store them, and warn if no worker seems to deliver them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from unihooks._base.awaitable import in_own_thread
from unihooks._base.times import from_us
from unihooks._delivery.emit_batching import EmitBatcher, in_time
from unihooks._management.emissions import EventMaker, Given, check_emissions
from unihooks._management.settings import Settings
from unihooks._model.log import Emission, Event
from unihooks.abc import EmitOutcome, Store
from unihooks.exceptions import StoreError

_UNPLANNED_TOO_LONG = timedelta(seconds=60)
_LOOK_EVERY = timedelta(seconds=10)
_logger = logging.getLogger("unihooks.dispatcher")


class Emits:
    """The part of a dispatcher that emits: an `Emitter` over a store."""

    _is_open = _knows_time = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._maker = EventMaker(settings.store.now, settings.catalog, settings.operational_events)
        limits = settings.limits
        self._per_minute = limits.events_per_minute
        self._per_minute_on_host = limits.events_per_minute if limits.refuse_in_transactions else None
        self._batcher = EmitBatcher(settings.store, self._per_minute)
        self._no_worker = _NoWorkerWarning(settings.store)

    def emit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
        subject: str | None = None,
    ) -> Event:
        """Store an event; when this returns, it survives a power cut and will be delivered.

        With `connection`, the event is one row in the host's open transaction there: it is committed, or rolled back,
        by the host. With an `idempotency_key` that the tenant has used for the same event and payload, the first event
        is returned. `subject` is what the event is about, such as `"order/7"`: it is sent as the header
        `unihooks-subject`, and an ordered webhook gets the events of a subject in order.

        Raises:
            UnknownEventType: The product or event type is malformed or not in the catalog.
            InvalidPayload: The payload is not JSON, too large or does not fit its schema;
                `name` is the path. Or the idempotency key is malformed.
            InvalidArgument: The tenant is not a text of 1 to 256 characters; or the subject is not 1 to 256 printable
                ASCII characters, without a space at either end.
            LimitReached: The tenant has emitted `Limits.events_per_minute` in this minute.
            IdempotencyConflict: The key was used for another event, payload or subject.
            StoreError: The database cannot be used, or `connection` leads to another one. Or it has not confirmed the
            event within the store's `emit_deadline` (10 s); the event may or may not have been stored. TypeError:
            `connection` is of a kind that is not known, or asynchronous: use `aemit`.
        """
        store = self.settings.open_store
        new = self._maker.make((product, event_type, payload, idempotency_key, subject), tenant)
        if connection is not None:
            return _with_payload(store.emit_on(connection, new, self._per_minute_on_host), payload)
        event = _settled(store.insert_events([new], self._per_minute)[0], payload)
        self._look_for_worker(event)
        return event

    async def aemit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
        subject: str | None = None,
    ) -> Event:
        """Do what `emit` does without blocking the event loop; `connection` may be asynchronous."""
        store = self.settings.open_store
        if connection is None and not self._is_open:
            # On first use, the store may have to open its database and ask its server for the time.
            await in_time(in_own_thread(store.ready), store.emit_deadline)
            self._is_open = True
        if not self._knows_time:
            await in_time(in_own_thread(store.now), store.emit_deadline)
            self._knows_time = True
        new = self._maker.make((product, event_type, payload, idempotency_key, subject), tenant)
        if connection is not None:
            return _with_payload(await store.aemit_on(connection, new, self._per_minute_on_host), payload)
        event = _settled(await self._batcher.submit(new), payload)
        if self._no_worker.is_due(event):
            await in_own_thread(self._no_worker.look, event)
        return event

    def emit_many(
        self,
        events: Iterable[tuple[str, str, Any] | Emission],
        *,
        tenant: str = "default",
        connection: Any = None,
    ) -> list[Event]:
        """Emit (product, event type, payload) triples or `Emission`s together: one commit, all of them or none.

        All are checked before the first is stored. With `connection`, they are rows in the host's open transaction
        there, to be rolled back if this raises. Raises what `emit` raises.
        """
        store, emissions = self.settings.open_store, check_emissions(events)
        new = self._maker.make_many(emissions, tenant)
        if connection is not None:
            return _emitted([store.emit_on(connection, one, self._per_minute_on_host) for one in new], emissions)
        if not new:
            return []
        if self._per_minute is None and all(one.idempotency_key is None for one in new):
            outcomes: Sequence[EmitOutcome] = store.insert_events(new)
        else:
            outcomes = store.insert_together(new, self._per_minute)
        emitted = _emitted(outcomes, emissions)
        self._look_for_worker(emitted[-1])
        return emitted

    async def aemit_many(
        self,
        events: Iterable[tuple[str, str, Any] | Emission],
        *,
        tenant: str = "default",
        connection: Any = None,
    ) -> list[Event]:
        """Do what `emit_many` does without blocking the event loop; `connection` may be asynchronous."""
        if connection is None:
            # Waiting for a thread counts, too.
            seconds = self.settings.open_store.emit_deadline
            return await in_time(in_own_thread(self.emit_many, events, tenant=tenant), seconds)
        store, emissions = self.settings.open_store, check_emissions(events)
        new = await in_own_thread(self._maker.make_many, emissions, tenant)
        limit = self._per_minute_on_host
        return _emitted([await store.aemit_on(connection, one, limit) for one in new], emissions)

    def wake(self) -> None:
        """Let workers look for work at once, for example after your commit; a hint that is never required."""
        self.settings.open_store.wake()

    def _look_for_worker(self, last: Event) -> None:
        if self._no_worker.is_due(last):
            self._no_worker.look(last)


def _settled(outcome: EmitOutcome, payload: Any) -> Event:
    if isinstance(outcome, Exception):
        raise outcome
    return _with_payload(outcome, payload)


def _emitted(outcomes: Iterable[EmitOutcome], emissions: Iterable[Given]) -> list[Event]:
    return [_settled(outcome, payload) for outcome, (_, _, payload, *_) in zip(outcomes, emissions, strict=True)]


def _with_payload(stored: Event, payload: Any) -> Event:
    # attrs.evolve takes five times as long.
    kind = (stored.product, stored.event_type)
    return Event(stored.id, stored.tenant, *kind, payload, stored.created_at, stored.subject)


class _NoWorkerWarning:
    """A warning, logged once, that no worker seems to run; it looks every 10 s at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_look = from_us(0)
        self._warned = False

    def is_due(self, event: Event) -> bool:
        return not self._warned and event.created_at >= self._next_look

    def look(self, event: Event) -> None:
        self._next_look = event.created_at + _LOOK_EVERY
        try:
            oldest = self._store.oldest_unplanned()
        except StoreError:
            # The event is already stored, so its emit must not fail because of this check.
            return
        if oldest is not None and event.created_at - from_us(oldest) > _UNPLANNED_TOO_LONG:
            self._warned = True
            _logger.warning(
                "an event has waited for a worker since %s; nothing is sent until one runs: use "
                "`with dispatcher.running():`, `unihooks worker`, or `dispatcher.drain()`",
                from_us(oldest).isoformat(),
            )
