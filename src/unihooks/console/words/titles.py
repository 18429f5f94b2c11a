"""Name events and products in the viewer's language; the host translates the titles of its own catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import evolve

from unihooks._contract.activity import TypeFailures
from unihooks._model.catalog import Catalog
from unihooks._model.log import Delivery, Event
from unihooks._model.operational_product import OPERATIONAL
from unihooks._model.products import EVERY_EVENT, EventType, Product
from unihooks._model.webhooks import EventSubscription
from unihooks.console.words.formats import isolated
from unihooks.console.words.locale import gettext, later, of_host

T = TypeVar("T", EventType, Product)


# The objects that have a product and an event type.
Typed = EventSubscription | Event | Delivery | TypeFailures


def shown_catalog(catalog: Catalog | None) -> tuple[Product, ...] | None:
    """Return the products of a catalog as viewers read them; None if the host has no catalog."""
    return None if catalog is None else tuple(_product(product) for product in catalog)


def titles(catalog: Catalog | None) -> Callable[[Typed], str]:
    """Return a function that names an event, or every event of a product or of those that begin alike, for people."""

    def title_of(one: Typed) -> str:
        product = catalog[one.product] if catalog is not None and one.product in catalog else None
        named = {"product": _words(product)(product.title) if product else one.product}
        if one.event_type == EVERY_EVENT:
            return gettext("All events of %(product)s") % named
        if one.event_type.endswith(f".{EVERY_EVENT}"):
            named["start"] = isolated(one.event_type.removesuffix(EVERY_EVENT))
            return gettext("All events of %(product)s that begin with %(start)s") % named
        if product is not None and one.event_type in product:
            return _words(product)(product[one.event_type].title)
        return f"{one.product} {one.event_type}"

    return title_of


def _product(product: Product) -> Product:
    words = _words(product)
    return evolve(_told(product, words), events={one.name: _told(one, words) for one in product})


def _words(product: Product) -> Callable[[str], str]:
    return gettext if product is OPERATIONAL else of_host


def _told(one: T, words: Callable[[str], str]) -> T:
    return evolve(one, title=words(one.title), description=one.description and words(one.description))


# What the library's own product of operational events says.
_TEXTS = (
    later("Webhooks"),
    later("Events about your webhooks themselves."),
    later("Endpoint failing"),
    later("Most recent requests to an endpoint have failed. Reported at most once in 10 minutes."),
    later("Endpoint recovered"),
    later("An endpoint that was failing is healthy again."),
    later("Endpoint disabled"),
    later("An endpoint was disabled, by hand, by a 410, or after five days of failures. Nothing is sent to it."),
    later("Delivery failed"),
    later("A delivery has failed for good: there are no more attempts."),
    later("Webhook created"),
    later("A webhook was added."),
    later("Webhook changed"),
    later("Settings of a webhook were changed."),
    later("Webhook activated"),
    later("A webhook was activated."),
    later("Webhook deactivated"),
    later("A webhook was deactivated."),
    later("Webhook deleted"),
    later("A webhook was deleted."),
    later("Signing secret rotated"),
    later("A webhook has a new signing secret."),
    later("When it happened."),
    later("The webhook concerned."),
    later("The webhook after the change."),
    later("The endpoint; `origin` is its URL up to the path."),
    later("The delivery, and the event that did not arrive."),
    later("The status of the last response, null if there was none."),
    later("Why, in a sentence."),
    later("The settings that were changed."),
    later("The time until which previous secrets keep signing."),
)
