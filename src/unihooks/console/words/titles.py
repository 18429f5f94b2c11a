"""Find the titles of events in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from unihooks._model.catalog import Catalog
from unihooks._model.products import EVERY_EVENT
from unihooks.console.words.formats import isolated
from unihooks.console.words.locale import gettext
from unihooks.console.words.operational import event_title, product_title


class Typed(Protocol):
    """Anything with a product and an event type: a subscription, an event, a delivery."""

    @property
    def product(self) -> str:
        """Return the product."""

    @property
    def event_type(self) -> str:
        """Return the event type."""


def titles(catalog: Catalog | None) -> Callable[[Typed], str]:
    """Return a function that names an event, or every event of a product or of those that begin alike, for people."""

    def title_of(one: Typed) -> str:
        product = catalog[one.product] if catalog is not None and one.product in catalog else None
        named = {"product": product_title(product) if product else one.product}
        if one.event_type == EVERY_EVENT:
            return gettext("All events of %(product)s") % named
        if one.event_type.endswith(f".{EVERY_EVENT}"):
            named["start"] = isolated(one.event_type.removesuffix(EVERY_EVENT))
            return gettext("All events of %(product)s that begin with %(start)s") % named
        if product is not None and one.event_type in product:
            return event_title(product, one.event_type)
        return f"{one.product} {one.event_type}"

    return title_of
