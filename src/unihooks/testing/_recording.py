"""A dispatcher for tests of code that only emits: it records events and sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from unihooks._base.awaitable import awaitable
from unihooks._base.times import Clock, from_us, now_us, system_clock
from unihooks._contract.planning import NewEvent
from unihooks._management.emissions import EventMaker, check_emissions
from unihooks._management.option_checks import check_clock, check_kinds
from unihooks._message.payload import decode
from unihooks._model.catalog import Catalog
from unihooks._model.log import Emission, Event
from unihooks.exceptions import IdempotencyConflict

T = TypeVar("T")

# The tenant with the idempotency key, or with the id of an event that has none.
_Key = tuple[str, str | None, str | None]
_Kept = tuple[Event, bytes | None]


async def _at_once(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    # Nothing here blocks for long.
    return function(*args, **kwargs)


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
        self._maker = EventMaker(partial(now_us, clock or system_clock), catalog)
        self._lock = threading.RLock()
        self._kept: dict[_Key, _Kept] = {}

    @property
    def events(self) -> list[Event]:
        """All events so far, in the order in which they were emitted."""
        with self._lock:
            return [event for event, _ in self._kept.values()]

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
            self._kept.clear()

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
        """Check, record and return the event."""
        emission = Emission(product, event_type, payload, idempotency_key, subject)
        return self.emit_many([emission], tenant=tenant, connection=connection)[0]

    def emit_many(
        self,
        events: Iterable[tuple[str, str, Any] | Emission],
        *,
        tenant: str = "default",
        connection: Any = None,  # noqa: ARG002
    ) -> list[Event]:
        """Check, record and return the events: all of them, or none if one is refused."""
        new = self._maker.make_many(check_emissions(events), tenant)
        with self._lock:
            added: dict[_Key, _Kept] = {}
            events_of_call = [_first(self._kept, added, one) for one in new]
            self._kept |= added
        return events_of_call

    aemit = awaitable(emit, _at_once)
    aemit_many = awaitable(emit_many, _at_once)

    def wake(self) -> None:
        """Do nothing: no worker waits for what is recorded."""


def _first(kept: Mapping[_Key, _Kept], added: dict[_Key, _Kept], new: NewEvent) -> Event:
    """Return the first event of this key, which may be this one and is then added."""
    key = (new.tenant, new.idempotency_key, None if new.idempotency_key else new.id)
    if key not in kept:
        made_at = from_us(new.created_at)
        event = Event(new.id, new.tenant, new.product, new.event_type, decode(new.body), made_at, new.subject)
        added.setdefault(key, (event, new.digest))
    first, digest = kept.get(key) or added[key]
    if digest != new.digest:
        sentence = "the idempotency key was used for another event; use a new key for each event"
        raise IdempotencyConflict(sentence, name="idempotency_key")
    return first
