"""Find what the steps of the form show beside the draft itself: events, examples, the tree, the preview."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from unihooks._dispatcher import Dispatcher
from unihooks._message.mapping import Preview
from unihooks._model.catalog import Catalog
from unihooks._model.products import EVERY_EVENT, EventType, subscribed_as
from unihooks.console import _draft_checks, _tree
from unihooks.console._draft import Draft
from unihooks.console._mapping_text import readable_rules
from unihooks.console._operational import shown_catalog


def step_values(draft: Draft, dispatcher: Dispatcher) -> dict[str, Any]:
    """Return the values that the templates in `steps/` take beside `draft`, `problems`, `where` and `focus`."""
    unknown = _unknown(draft, dispatcher.catalog)
    samples = _samples(draft, dispatcher.catalog)
    sample = next((one for one in samples if _key(one) == draft.sample), samples[0] if samples else None)
    return {
        "chosen": frozenset(draft.events),
        "catalog": shown_catalog(dispatcher.catalog),
        "unknown": unknown,
        "patterns": _patterns(draft, unknown),
        "samples": samples,
        "sample": sample,
        "tree": _tree.rows(sample.example, readable_rules(draft.mapping)) if sample else [],
        "preview": _preview(draft, sample),
        "egress_ips": dispatcher.egress_ips,
        "key": _key,
    }


def _key(event: EventType) -> str:
    return f"{event.product} {event.name}"


def _samples(draft: Draft, catalog: Catalog | None) -> list[EventType]:
    """Return the chosen event types that have an example."""
    wanted = set(draft.events)
    return [
        event
        for product in catalog or ()
        for event in product
        if event.example is not None and wanted & {f"{product.name} {one}" for one in subscribed_as(event.name)}
    ]


def _unknown(draft: Draft, catalog: Catalog | None) -> list[str]:
    """Return the chosen events that the catalog lacks, as after an event type was removed from it."""
    products = tuple(catalog or ())
    offered = {f"{product.name} {EVERY_EVENT}" for product in products}
    for event in (event for product in products for event in product):
        offered |= {f"{event.product} {one}" for one in subscribed_as(event.name)}
    return [one for one in draft.events if one not in offered]


def _patterns(draft: Draft, unknown: Collection[str]) -> list[str]:
    """Return the chosen beginnings of event types."""
    return [one for one in draft.events if one.endswith(f".{EVERY_EVENT}") and one not in unknown]


def _preview(draft: Draft, sample: EventType | None) -> Preview | None:
    mapping = _draft_checks.mapping_of(draft)
    return mapping.preview(sample.example) if mapping is not None and sample is not None else None
