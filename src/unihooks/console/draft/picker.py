"""Lay out the events of a catalog to choose from: products that fold, their events, the conditions of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, groupby, islice
from typing import Any

from attrs import frozen

from unihooks._message.conditions import Condition, values_at
from unihooks._message.paths import parse_path
from unihooks._model.catalog import Catalog
from unihooks._model.products import EVERY_EVENT, EventType, Product, subscribed_as
from unihooks.console.draft import condition_rows
from unihooks.console.draft.condition_rows import ConditionField
from unihooks.console.draft.draft import Draft
from unihooks.console.draft.tree import shown
from unihooks.console.words.sentences import told
from unihooks.console.words.titles import shown_catalog
from unihooks.exceptions import UnihooksError

_ALL_OPEN = 20
_MOST_PROPERTIES = 200


@frozen(kw_only=True)
class ConditionRow:
    """One row of the conditions: `holds` and `found` say what it finds in the example, None if it says nothing.

    `begins` says that an alternative begins with it, and `problem` what is wrong with it.
    """

    at: int
    field: ConditionField
    begins: bool
    holds: bool | None = None
    found: str | None = None
    problem: str = ""


@frozen(kw_only=True)
class Conditions:
    """The conditions of one chosen event; `matches` says whether its example is sent, if that can be said."""

    rows: Sequence[ConditionRow] = ()
    properties: Sequence[tuple[str, str]] = ()
    matches: bool | None = None


@frozen(kw_only=True)
class Choice:
    """One box to tick: a single event type, all of a product, or those that begin alike.

    `is_begun` says that a chosen pattern stands for the event type.
    """

    number: int
    event: str
    name: str
    title: str = ""
    description: str = ""
    is_chosen: bool
    is_begun: bool = False
    is_found: bool = True
    has_example: bool = False
    conditions: Conditions = Conditions()


@frozen(kw_only=True)
class Fold:
    """A product with its boxes; `chosen` counts the event types that are sent."""

    product: Product
    every: Choice
    choices: Sequence[Choice]
    chosen: int
    total: int
    is_open: bool
    is_found: bool


@frozen(kw_only=True)
class Picked:
    """The whole list; `chosen` counts the event types that are sent, and `example` is the event shown beside it.

    `patterns` are those that may be added, beside the titles of their products.
    """

    folds: Sequence[Fold]
    unknown: Sequence[Choice]
    patterns: Sequence[tuple[str, Sequence[str]]]
    chosen: int
    example: EventType | None


class _Layout:
    """The choices of a draft, numbered in the order of the page."""

    def __init__(self, draft: Draft, catalog: Catalog | None) -> None:
        self._draft, self._catalog = draft, catalog
        self._chosen = frozenset(draft.events)
        self._numbers = count()
        self._search = draft.picker.search.casefold()
        self._rows: dict[str, list[tuple[int, ConditionField]]] = {}
        for at, row in enumerate(draft.condition_rows):
            self._rows.setdefault(row.event, []).append((at, row))

    def fold(self, product: Product, patterns: Iterable[str], *, may_open: bool) -> Fold:
        every = self._choice(f"{product.name} {EVERY_EVENT}", EVERY_EVENT)
        named = self._is_found(product.title, product.name, product.description or "")
        events = [self._event(event, named=named) for event in product]
        begun = [self._choice(one, one.partition(" ")[2]) for one in patterns if one.startswith(f"{product.name} ")]
        total = len(events)
        chosen = total if every.is_chosen else sum(self._is_sent(event) for event in product)
        return Fold(
            product=product,
            every=every,
            choices=[*begun, *events],
            chosen=chosen,
            total=total,
            is_open=may_open
            or chosen > 0
            or bool(self._search)
            or self._draft.picker.example.startswith(f"{product.name} "),
            is_found=named or any(one.is_found for one in events),
        )

    def unknown(self, event: str) -> Choice:
        return self._choice(event, event)

    def _event(self, event: EventType, *, named: bool) -> Choice:
        return self._choice(
            f"{event.product} {event.name}",
            event.name,
            title=event.title,
            description=event.description or "",
            is_found=named or self._is_found(event.title, event.name, event.description or ""),
            has_example=event.example is not None,
            is_begun=any(f"{event.product} {one}" in self._chosen for one in subscribed_as(event.name)[2:]),
        )

    def _choice(self, event: str, name: str, **rest: Any) -> Choice:
        chosen, conditions = event in self._chosen, self._conditions(event)
        return Choice(
            number=next(self._numbers), event=event, name=name, is_chosen=chosen, conditions=conditions, **rest
        )

    def _is_found(self, *texts: str) -> bool:
        return not self._search or any(self._search in text.casefold() for text in texts)

    def _is_sent(self, event: EventType) -> bool:
        return any(f"{event.product} {one}" in self._chosen for one in subscribed_as(event.name))

    def _conditions(self, event: str) -> Conditions:
        given = self._rows.get(event)
        if not given:
            return Conditions()
        example = next((one.example for one in condition_rows.examples(event, self._catalog) if one.example), None)
        given.sort(key=lambda one: one[1].group)
        groups = [list(group) for _, group in groupby(given, key=lambda one: one[1].group)]
        rows = [
            [self._row(at, row, example, begins=not place and number > 0) for place, (at, row) in enumerate(group)]
            for number, group in enumerate(groups)
        ]
        said = [[row.holds for row in group if not row.field.blank] for group in rows]
        known = all(holds is not None for group in said for holds in group) and any(said)
        return Conditions(
            rows=[row for group in rows for row in group],
            properties=condition_rows.properties(event, self._catalog, _MOST_PROPERTIES),
            matches=any(all(group) for group in said if group) if known else None,
        )

    def _row(self, at: int, row: ConditionField, example: Any, *, begins: bool) -> ConditionRow:
        try:
            condition = condition_rows.to_condition(row, self._catalog)
        except UnihooksError as error:
            problem = told(error) if row.path and row.value.strip() else ""
            return ConditionRow(at=at, field=row, begins=begins, problem=problem)
        if example is None:
            return ConditionRow(at=at, field=row, begins=begins)
        return ConditionRow(
            at=at, field=row, begins=begins, holds=condition.holds(example), found=_found(condition, example)
        )


def picked(draft: Draft, catalog: Catalog | None) -> Picked | None:
    """Return the choices and the chosen events; None if the host has no catalog."""
    products = shown_catalog(catalog)
    if products is None:
        return None
    layout, unknown = _Layout(draft, catalog), _unknown(draft, products)
    patterns = [one for one in draft.events if one.endswith(f".{EVERY_EVENT}") and one not in unknown]
    may_open = sum(1 for product in products for _ in product) <= _ALL_OPEN
    folds = [
        layout.fold(product, patterns, may_open=may_open or (number == 0 and not draft.events))
        for number, product in enumerate(products)
    ]
    return Picked(
        folds=folds,
        unknown=[layout.unknown(one) for one in unknown],
        patterns=[(one.title, found) for one in products if (found := _patterns(one, draft.events))],
        chosen=sum(one.chosen for one in folds),
        example=_example(draft.picker.example, products),
    )


def _unknown(draft: Draft, products: Iterable[Product]) -> list[str]:
    """Return the chosen events that the catalog lacks, as after an event type was removed from it."""
    offered = set()
    for product in products:
        names = {EVERY_EVENT} | {one for event in product for one in subscribed_as(event.name)}
        offered |= {f"{product.name} {one}" for one in names}
    return [one for one in draft.events if one not in offered]


def _patterns(product: Product, chosen: Sequence[str]) -> list[str]:
    """Return the patterns like `message.*` of a product that are not chosen yet, none if all of it is."""
    if f"{product.name} {EVERY_EVENT}" in chosen:
        return []
    offered = {one for event in product for one in subscribed_as(event.name) if one.endswith(f".{EVERY_EVENT}")}
    return [found for one in sorted(offered) if (found := f"{product.name} {one}") not in chosen]


def _example(wanted: str, products: Iterable[Product]) -> EventType | None:
    name, _, event_type = wanted.partition(" ")
    product = next((one for one in products if one.name == name), None)
    return product[event_type] if product is not None and event_type in product else None


def _found(condition: Condition, example: Any) -> str | None:
    found = list(islice(values_at(example, parse_path(condition.path)), 1))
    return shown(found[0]) if found else None
