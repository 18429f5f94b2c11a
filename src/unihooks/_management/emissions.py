"""Check the arguments of `emit` and `emit_many`, and make events of them for the store."""

from __future__ import annotations

import hashlib
import re
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
from unihooks.exceptions import InvalidArgument, InvalidPayload, UnknownEventType

_MAX_KEY = 256
_MAX_SUBJECT = 256
# A space at either end of a header's value is not part of it.
_SUBJECT = re.compile(rf"(?! )[ -~]{{1,{_MAX_SUBJECT}}}(?<! )")


# Product, event type, payload, key and subject: making an `Emission` for each of many events would cost too much.
Given = tuple[str, str, Any, str | None, str | None]


@frozen
class EventMaker:
    """A maker of events from emissions, by the rules of a catalog; its clock returns microseconds.

    If operational events are on, it refuses their product, which is the library's.
    """

    _now: Callable[[], int]
    _catalog: Catalog | None
    _has_operational_events: bool = False

    def make(self, given: Given, tenant: str) -> NewEvent:
        """Return an event that the store can insert, or raise an error that says what is wrong."""
        tenant = check_tenant(tenant)
        product, event_type, payload, key, subject = given
        checked = self._checked(product, event_type, payload)
        now = self._now()
        return _new_event(new_id("evt_", now), tenant, checked, (key, subject), now)

    def make_many(self, emissions: Iterable[Given], tenant: str) -> list[NewEvent]:
        """Make an event from each emission, as `make` does, all with the same time."""
        tenant = check_tenant(tenant)
        checked = [
            (self._checked(product, event_type, payload), (key, subject))
            for product, event_type, payload, key, subject in emissions
        ]
        now = self._now()
        ids = new_ids("evt_", now, len(checked))
        return [_new_event(id_, tenant, *one, now) for id_, one in zip(ids, checked, strict=True)]

    def _checked(self, product: str, event_type: str, payload: Any) -> tuple[str, str, bytes]:
        if self._catalog is None:
            checked = *check_names(product, event_type), encode(payload)
        else:
            kind = self._catalog.check(product, event_type)
            checked = kind.product, kind.name, encode(payload)
            kind.check_payload(payload)
        if self._has_operational_events and checked[0] == PRODUCT:
            sentence = f"the product {PRODUCT!r} is reserved, since operational_events is on; use another name"
            raise UnknownEventType(sentence, name="product")
        return checked


def check_emissions(events: object) -> list[Given]:
    """Return the arguments for each event of `emit_many`, or raise InvalidPayload."""
    if not isinstance(events, Iterable) or isinstance(events, str | bytes):
        raise InvalidPayload(f"events must be a list of {_TRIPLES}, not {kind_of(events)}", name="events")
    return [_given(number, one) for number, one in enumerate(events)]


def check_key(key: object) -> str | None:
    """Return an idempotency key, or raise InvalidPayload if it cannot be stored."""
    if key is None or (isinstance(key, str) and 1 <= len(key) <= _MAX_KEY and storable(key)):
        return key
    raise InvalidPayload(f"idempotency_key must be a text of 1 to {_MAX_KEY} characters", name="idempotency_key")


def check_subject(subject: object) -> str | None:
    """Return a subject, or raise InvalidArgument if it cannot be sent as the value of a header.

    >>> check_subject("order/7")
    'order/7'
    """
    if subject is None:
        return None
    if isinstance(subject, str) and _SUBJECT.fullmatch(subject):
        # A member of a `(str, Enum)` would format as its name; this gives its value.
        return str.__str__(subject)
    sentence = f"subject must be 1 to {_MAX_SUBJECT} printable ASCII characters, without a space at either end"
    raise InvalidArgument(sentence, name="subject")


def _given(number: int, one: object) -> Given:
    if isinstance(one, tuple | list) and len(one) == len(_TRIPLE):
        return (*one, None, None)
    if isinstance(one, Emission):
        return one.product, one.event_type, one.payload, one.idempotency_key, one.subject
    raise InvalidPayload(f"events[{number}] is not one of {_TRIPLES}; give it as a tuple", name="events")


def _new_event(
    id_: str, tenant: str, checked: tuple[str, str, bytes], given: tuple[str | None, str | None], now: int
) -> NewEvent:
    key, subject = given
    if subject is not None:
        subject = check_subject(subject)
    digest = None
    if key is not None:
        product, event_type, body = checked
        parts = [product.encode(), event_type.encode(), (subject or "").encode(), unordered(body)]
        digest = hashlib.sha256(b"\0".join(parts)).digest()
    return NewEvent(id_, tenant, *checked, now, check_key(key), digest, subject)


_TRIPLE = ("product", "event type", "payload")
_TRIPLES = f"({', '.join(_TRIPLE)}) triples or Emissions"
