"""The products and event types that the host offers, and the checks of events against them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from unihooks._base.sentences import said
from unihooks._message.wire_names import WireNames
from unihooks._model.catalog_documents import asyncapi_document, openapi_document
from unihooks._model.operational_product import OPERATIONAL
from unihooks._model.products import (
    EVERY_EVENT,
    EventType,
    Product,
    check_name,
    check_names,
    check_subscription,
    check_texts,
    covers,
    look_up,
)
from unihooks.exceptions import Conflict, UnknownEventType


@attrs.frozen(eq=False)
class Catalog:
    """The products of the host: iterate over them, look them up by name, add more, check events.

    >>> catalog = Catalog()
    >>> whatsapp = catalog.add_product("whatsapp", title="WhatsApp")
    >>> event = whatsapp.add_event("message.received", title="Message received")
    >>> [(event.product, event.name) for product in catalog for event in product]
    [('whatsapp', 'message.received')]
    >>> catalog.check("whatsapp", "message.recieved")
    Traceback (most recent call last):
    ...
    unihooks.exceptions.UnknownEventType: ... did you mean 'message.received'?
    """

    _products: dict[str, Product] = attrs.field(factory=dict, init=False, repr=False)

    def add_product(self, name: str, *, title: str | None = None, description: str | None = None) -> Product:
        """Offer a product, to which event types can then be added."""
        name = check_name("product", name)
        check_texts(title=title, description=description)
        product = Product(name=name, title=title or name, description=description)
        if self._products.setdefault(name, product) is not product:
            raise Conflict(f"the catalog already has a product {name!r}; add it only once", name=name)
        return product

    def offer_operational_events(self) -> None:
        """Offer the product `webhooks`, for a dispatcher with operational events; repeated calls do nothing."""
        if self._products.setdefault(OPERATIONAL.name, OPERATIONAL) is not OPERATIONAL:
            sentence = "the product name 'webhooks' is reserved for operational events; give yours another name"
            raise Conflict(sentence, name=OPERATIONAL.name)

    def check(self, product: str, event_type: str) -> EventType:
        """Return an event type; `UnknownEventType` suggests what may have been meant."""
        check_names(product, event_type)
        return self[product][event_type]

    def check_subscription(self, product: str, event_type: str) -> None:
        """Check a subscription: `*` means every event of the product; `order.*` must match some of its event types."""
        check_subscription(product, event_type)
        if event_type.endswith(EVERY_EVENT):
            offered = self[product]
            if event_type != EVERY_EVENT and not any(covers(event_type, one.name) for one in offered):
                template = "{product} has no event type that {shown!r} stands for; name one that it has"
                sentence = said("event-type-covers-none", template, product=product, shown=event_type)
                raise UnknownEventType(sentence, name="event_type")
        else:
            self.check(product, event_type)

    def check_payload(self, product: str, event_type: str, payload: Any) -> None:
        """Refuse an unknown event type, and a payload that does not match its schema."""
        self.check(product, event_type).check_payload(payload)

    def openapi(
        self, *, title: str = "Webhooks", version: str = "1", header_prefix: str = "unihooks"
    ) -> dict[str, Any]:
        """Return an OpenAPI 3.1 document whose `webhooks` are the event types, for receivers and their tools."""
        check_texts(title=title, version=version)
        return openapi_document(self, title=title, version=version, names=WireNames(header_prefix))

    def asyncapi(
        self, *, title: str = "Webhooks", version: str = "1", header_prefix: str = "unihooks"
    ) -> dict[str, Any]:
        """Return an AsyncAPI 3 document in which the host sends a message for each event type."""
        check_texts(title=title, version=version)
        return asyncapi_document(self, title=title, version=version, names=WireNames(header_prefix))

    def __iter__(self) -> Iterator[Product]:
        return iter(tuple(self._products.values()))

    def __contains__(self, product: object) -> bool:
        return product in self._products

    def __getitem__(self, product: str) -> Product:
        return look_up(self._products, product, "product", "product")
