"""A dispatcher for tests of code that only emits: it records events and sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from unihooks._base.awaitable import awaitable
from unihooks._base.ids import new_id
from unihooks._base.times import Clock, system_clock, to_us
from unihooks._management.emissions import check_key
from unihooks._management.option_checks import check_clock, check_kinds
from unihooks._message.payload import decode, encode, unordered
from unihooks._model.catalog import Catalog
from unihooks._model.checks import check_tenant
from unihooks._model.log import Event
from unihooks._model.products import check_name
from unihooks.exceptions import IdempotencyConflict


async def _at_once(emit: Callable[..., Event], *args: Any, **options: Any) -> Event:
    return emit(*args, **options)


class RecordingDispatcher:
    """An `Emitter` that records events in `events`, after the checks of a real dispatcher.

    An event emitted with `connection=` is recorded at once, even if the
    transaction is rolled back later.

    >>> recorder = RecordingDispatcher()
    >>> event = recorder.emit("shop", "order.paid", {"order": 7}, tenant="acme")
    >>> recorder.of("shop", "order.paid")[0].payload
    {'order': 7}
    """

    def __init__(self, *, catalog: Catalog | None = None, clock: Clock | None = None) -> None:
        check_kinds(catalog=catalog)
        check_clock(clock)
        self._catalog = catalog
        self._clock = clock or system_clock
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._by_key: dict[tuple[str, str], Event] = {}

    @property
    def events(self) -> list[Event]:
        """All events so far, in the order in which they were emitted."""
        with self._lock:
            return list(self._events)

    def of(self, product: str, event_type: str, *, tenant: str | None = None) -> list[Event]:
        """Return the events of one type, of one tenant or of all tenants."""
        return [
            event
            for event in self.events
            if (event.product, event.event_type) == (product, event_type) and tenant in {None, event.tenant}
        ]

    def clear(self) -> None:
        """Forget the events and their idempotency keys."""
        with self._lock:
            self._events.clear()
            self._by_key.clear()

    def emit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,  # noqa: ARG002
        idempotency_key: str | None = None,
    ) -> Event:
        """Check, record and return the event."""
        tenant = check_tenant(tenant)
        self._check(product, event_type, payload)
        check_key(idempotency_key)
        now = self._clock()
        event = Event(
            id=new_id("evt_", to_us(now)),
            tenant=tenant,
            product=str.__str__(product),
            event_type=str.__str__(event_type),
            payload=decode(encode(payload)),
            created_at=now,
        )
        with self._lock:
            return self._record(event, idempotency_key)

    aemit = awaitable(emit, _at_once)

    def _check(self, product: str, event_type: str, payload: Any) -> None:
        if self._catalog is None:
            check_name("product", product)
            check_name("event type", event_type)
        else:
            self._catalog.check_payload(product, event_type, payload)

    def _record(self, event: Event, key: str | None) -> Event:
        if key is not None:
            first = self._by_key.setdefault((event.tenant, key), event)
            if first is not event:
                return _repeated(first, event)
        self._events.append(event)
        return event


def _repeated(first: Event, event: Event) -> Event:
    if _content(first) != _content(event):
        raise IdempotencyConflict(
            "the idempotency key was used for another event; use a new key for each event",
            name="idempotency_key",
        )
    return first


def _content(event: Event) -> tuple[str, str, bytes]:
    return event.product, event.event_type, unordered(encode(event.payload))
