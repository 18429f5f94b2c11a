"""What `emit` and `emit_many` are given, checked and made ready for the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from unihooks._base.ids import new_id, new_ids
from unihooks._contract.planning import NewEvent
from unihooks._management.option_checks import kind_of
from unihooks._message.payload import encode, unordered
from unihooks._model.catalog import Catalog
from unihooks._model.checks import check_tenant, storable
from unihooks._model.log import Emission
from unihooks._model.operational_events import PRODUCT
from unihooks._model.products import check_names
from unihooks.exceptions import InvalidPayload, UnknownEventType

_MAX_KEY = 256


# Product, event type, payload and key: to make an `Emission` of each of many events would cost too much.
Given = tuple[str, str, Any, str | None]


@frozen
class EventMaker:
    """What makes events of emissions, by the rules of a catalog and a clock that tells microseconds."""

    _now: Callable[[], int]
    _catalog: Catalog | None

    def make(self, product: str, event_type: str, payload: Any, tenant: str, key: str | None) -> NewEvent:
        """Return an event that the store can insert, or raise what is wrong with it."""
        tenant = check_tenant(tenant)
        checked = self._checked(product, event_type, payload)
        now = self._now()
        return _new_event(new_id("evt_", now), checked, tenant, key, now)

    def make_many(self, emissions: Iterable[Given], tenant: str) -> list[NewEvent]:
        """Do what `make` does for each, at one time."""
        tenant = check_tenant(tenant)
        checked = [
            (self._checked(product, event_type, payload), key) for product, event_type, payload, key in emissions
        ]
        now = self._now()
        ids = new_ids("evt_", now, len(checked))
        return [_new_event(id_, event, tenant, key, now) for id_, (event, key) in zip(ids, checked, strict=True)]

    def _checked(self, product: str, event_type: str, payload: Any) -> tuple[str, str, bytes]:
        if self._catalog is None:
            return *check_names(product, event_type), encode(payload)
        kind = self._catalog.check(product, event_type)
        body = encode(payload)
        kind.check_payload(payload)
        return kind.product, kind.name, body


@frozen
class ReservingEventMaker(EventMaker):
    """One that leaves the product of operational events to the library."""

    def _checked(self, product: str, event_type: str, payload: Any) -> tuple[str, str, bytes]:
        checked = super()._checked(product, event_type, payload)
        if checked[0] == PRODUCT:
            sentence = f"the product {PRODUCT!r} is reserved, since operational_events is on; use another name"
            raise UnknownEventType(sentence, name="product")
        return checked


def check_emissions(events: object) -> list[Given]:
    """Return what each event of `emit_many` was given, or raise InvalidPayload."""
    if not isinstance(events, Iterable) or isinstance(events, str | bytes):
        raise InvalidPayload(f"events must be a list of {_TRIPLES}, not {kind_of(events)}", name="events")
    return [_given(number, one) for number, one in enumerate(events)]


def check_key(key: object) -> str | None:
    """Return an idempotency key, or raise InvalidPayload for what could not be stored."""
    if key is None or (isinstance(key, str) and 1 <= len(key) <= _MAX_KEY and storable(key)):
        return key
    raise InvalidPayload(f"idempotency_key must be a text of 1 to {_MAX_KEY} characters", name="idempotency_key")


def _given(number: int, one: object) -> Given:
    if isinstance(one, tuple | list) and len(one) == len(_TRIPLE):
        return (*one, None)
    if isinstance(one, Emission):
        return one.product, one.event_type, one.payload, one.idempotency_key
    raise InvalidPayload(f"events[{number}] is not one of {_TRIPLES}; give it as a tuple", name="events")


def _new_event(id_: str, checked: tuple[str, str, bytes], tenant: str, key: str | None, now: int) -> NewEvent:
    digest = None
    if key is not None:
        product, event_type, body = checked
        digest = hashlib.sha256(b"\0".join([product.encode(), event_type.encode(), unordered(body)])).digest()
    return NewEvent(id_, tenant, *checked, now, check_key(key), digest)


_TRIPLE = ("product", "event type", "payload")
_TRIPLES = f"({', '.join(_TRIPLE)}) triples or Emissions"
