"""The titles of events in the viewer's language; those of the host's own events are the host's to translate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import evolve

from unihooks._model.catalog import Catalog
from unihooks._model.operational_product import OPERATIONAL
from unihooks._model.products import EventType, Product
from unihooks.console.words.locale import gettext, later, of_host

T = TypeVar("T", EventType, Product)
_TEXTS = (
    later("Webhooks"),
    later("What happens to your webhooks themselves."),
    later("Endpoint failing"),
    later("Most of what an endpoint was sent of late has failed. Told at most once in 10 minutes."),
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
    later("A webhook was switched on."),
    later("Webhook deactivated"),
    later("A webhook was switched off."),
    later("Webhook deleted"),
    later("A webhook was deleted."),
    later("Signing secret rotated"),
    later("A webhook has got a new signing secret."),
    later("When it happened."),
    later("The webhook that it happened to."),
    later("The webhook, as it is from then on."),
    later("The endpoint; `origin` is its URL up to the path."),
    later("The delivery, and the event that did not arrive."),
    later("The status of the last response, null if there was none."),
    later("Why, in a sentence."),
    later("The settings that were changed."),
    later("Until when previous secrets keep signing."),
)


def shown_catalog(catalog: Catalog | None) -> tuple[Product, ...] | None:
    """Return the products of a catalog as viewers read them; None if the host has no catalog."""
    return None if catalog is None else tuple(_product(product) for product in catalog)


def product_title(product: Product) -> str:
    """Return the title of a product in the viewer's language."""
    return _words(product)(product.title)


def event_title(product: Product, event_type: str) -> str:
    """Return the title of one of a product's event types in the viewer's language."""
    return _words(product)(product[event_type].title)


def _product(product: Product) -> Product:
    words = _words(product)
    return evolve(_told(product, words), events={one.name: _told(one, words) for one in product})


def _words(product: Product) -> Callable[[str], str]:
    return gettext if product is OPERATIONAL else of_host


def _told(one: T, words: Callable[[str], str]) -> T:
    return evolve(one, title=words(one.title), description=one.description and words(one.description))
