"""The titles of operational events in the viewer's language; those of the host's own events are the host's."""

from __future__ import annotations

from typing import TypeVar

from attrs import evolve

from unihooks._model.catalog import Catalog
from unihooks._model.operational_product import OPERATIONAL
from unihooks._model.products import EventType, Product
from unihooks.console._locale import gettext, later

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
)


def shown_catalog(catalog: Catalog | None) -> tuple[Product, ...] | None:
    """Return the products of a catalog as viewers read them; None if the host has no catalog."""
    return None if catalog is None else tuple(translated(product) for product in catalog)


def translated(product: Product) -> Product:
    """Return the product of operational events in the viewer's language, and any other as it is."""
    if product is not OPERATIONAL:
        return product
    events = {one.name: _translated(one) for one in product}
    return evolve(_translated(product), events=events)


def _translated(one: T) -> T:
    return evolve(one, title=gettext(one.title), description=gettext(one.description or ""))
