"""Provide what the steps of the form show beside the draft: events, examples, the tree, the preview."""

from __future__ import annotations

from typing import Any

from unihooks._dispatcher import Dispatcher
from unihooks._message.conditions import Operator
from unihooks._model.catalog import Catalog
from unihooks._model.products import EventType, subscribed_as
from unihooks.console.draft import checks, payload_preview, tree
from unihooks.console.draft.commands import with_https
from unihooks.console.draft.draft import Draft
from unihooks.console.draft.mapping_text import readable_rules
from unihooks.console.draft.picker import picked
from unihooks.console.words.locale import gettext, later
from unihooks.console.words.titles import shown_catalog
from unihooks.exceptions import UnihooksError


def step_values(draft: Draft, dispatcher: Dispatcher) -> dict[str, Any]:
    """Return the values that the template of the draft's step takes beside `draft`, `problems`, `where` and `focus`."""
    # The rows whose URL would be accepted with https:// before it.
    without_https = {at for at, row in enumerate(draft.endpoints) if _needs_https(row.url, dispatcher)}
    found = {"egress_ips": dispatcher.egress_ips, "without_https": without_https}
    if draft.step == "events":
        return {**found, "picked": picked(draft, dispatcher.catalog), "operators": operators()}
    return {**found, **_mapping_values(draft, dispatcher.catalog)} if draft.step == "mapping" else found


def operators() -> dict[str, str]:
    """Return the operators of conditions in the viewer's language."""
    return {operator.value: gettext(text) for operator, text in _OPERATORS.items()}


def event_key(event: EventType) -> str:
    """Return an event as the form names it."""
    return f"{event.product} {event.name}"


def _mapping_values(draft: Draft, catalog: Catalog | None) -> dict[str, Any]:
    """Return the examples to choose from, the tree of the chosen one, and the result of the mapping."""
    samples = _samples(draft, catalog)
    sample = next((one for one in samples if event_key(one) == draft.sample), samples[0] if samples else None)
    mapping = checks.mapping_of(draft)
    preview = mapping.preview(sample.example) if mapping is not None and sample is not None else None
    return {
        "samples": samples,
        "sample": sample,
        "tree": tree.rows(sample.example, readable_rules(draft.mapping)) if sample else [],
        "preview": preview,
        "lines": payload_preview.lines_of(sample.example, mapping) if sample and mapping is not None else [],
        "nothing_left": preview is not None and payload_preview.is_empty(preview.result),
        "key": event_key,
    }


def _needs_https(url: str, dispatcher: Dispatcher) -> bool:
    scheme, _, rest = url.partition("://")
    if (rest and scheme != "http") or "." not in (rest or url).partition("/")[0]:
        return False
    return _is_allowed(with_https(url), dispatcher) and not (rest and _is_allowed(url, dispatcher))


def _is_allowed(url: str, dispatcher: Dispatcher) -> bool:
    try:
        return bool(dispatcher.webhooks.check_url(url))
    except UnihooksError:
        return False


def _samples(draft: Draft, catalog: Catalog | None) -> list[EventType]:
    """Return the chosen event types that have an example."""
    wanted = set(draft.events)
    return [
        event
        for product in shown_catalog(catalog) or ()
        for event in product
        if event.example is not None and wanted & {f"{product.name} {one}" for one in subscribed_as(event.name)}
    ]


_OPERATORS = {
    Operator.EQ: later("is"),
    Operator.NE: later("is not"),
    Operator.IN: later("is one of"),
    Operator.NOT_IN: later("is none of"),
    Operator.LT: later("is less than"),
    Operator.LE: later("is at most"),
    Operator.GT: later("is more than"),
    Operator.GE: later("is at least"),
    Operator.PREFIX: later("begins with"),
    Operator.SUFFIX: later("ends with"),
    Operator.CONTAINS: later("contains"),
    Operator.EXISTS: later("exists"),
    Operator.MISSING: later("does not exist"),
}
