"""The events that a test may send, and its responses, for a webhook or a draft."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unihooks._message.payload import encode
from unihooks._message.rendering import Rendering
from unihooks._model.catalog import Catalog
from unihooks._model.log import Attempt
from unihooks._model.products import EVERY_EVENT
from unihooks._model.webhooks import EventSubscription, Webhook
from unihooks.console.views.attempts import ShownAttempt, shown_attempt
from unihooks.console.words.titles import shown_catalog


def choices(
    subscriptions: Iterable[EventSubscription], catalog: Catalog | None, *, with_example: bool = False
) -> dict[str, str]:
    """Return the events that a test may send, each with its title: those subscribed to, or else all on offer."""
    chosen = list(subscriptions)
    if catalog is None:
        named = [f"{one.product} {one.event_type}" for one in chosen if not one.event_type.endswith(EVERY_EVENT)]
        return dict(zip(named, named, strict=True))
    listed = [event for product in shown_catalog(catalog) or () for event in product]
    offered = [one for one in listed if one.example is not None or not with_example]
    wanted = [one for one in offered if any(each.may_mean(one.product, one.name) for each in chosen)]
    return {f"{one.product} {one.name}": one.title for one in wanted or offered}


def example(event: str, catalog: Catalog | None) -> Any:
    """Return the example of an event, or an empty object if it has none."""
    product, _, name = event.partition(" ")
    is_known = catalog is not None and product in catalog and name in catalog[product]
    found = catalog[product][name].example if catalog is not None and is_known else None
    return {} if found is None else found


def results(
    attempts: Iterable[Attempt], payload: Any, tested: Webhook, signer: Webhook | None
) -> tuple[ShownAttempt, ...]:
    """Return the attempts as pages show them; signatures are checked with the secrets of `signer`, if it is given."""
    body, rendering = encode(payload), Rendering.of(tested.mapping)
    sent = body if rendering is None else rendering.render(body).body
    return tuple(shown_attempt(one, sent, signer) for one in attempts)
