"""Write the conditions of subscriptions as rows of a form, and read them back.

A row is a condition: the event that it is for, a property, an operator and a value. Rows of one event with another
`group` are alternatives. A value is a text where the event's example or schema has one, and else JSON, or a text
where it is none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from attrs import field, frozen

from unihooks._message.conditions import Condition, Operator, values_at
from unihooks._message.paths import parse_path
from unihooks._model.catalog import Catalog
from unihooks._model.products import EventType, covers
from unihooks._model.webhooks import EventSubscription
from unihooks.console.draft import conditions_text, tree
from unihooks.console.http.forms import Form, to_number
from unihooks.console.words import schema
from unihooks.console.words.locale import gettext
from unihooks.exceptions import InvalidMapping, InvalidWebhook, UnihooksError

MOST_ROWS = 1_000
WITHOUT_VALUE = frozenset({Operator.EXISTS, Operator.MISSING})
_LISTS = frozenset({Operator.IN, Operator.NOT_IN})
_TEXTS = frozenset({Operator.PREFIX, Operator.SUFFIX})


@frozen
class ConditionField:
    """One row of the conditions; `saved` is the value that the webhook has, as JSON."""

    event: str = ""
    group: int = 0
    path: str = ""
    op: str = Operator.EQ.value
    value: str = ""
    saved: str = field(default="", repr=False)

    @property
    def blank(self) -> bool:
        """Return whether the row has not been filled in."""
        return not self.path.strip() and not self.value.strip()


def rows_of(subscriptions: Iterable[EventSubscription]) -> list[ConditionField] | None:
    """Return the rows for subscriptions; None if rows cannot express them, as an alternative without conditions."""
    groups: dict[str, list[EventSubscription]] = {}
    for one in subscriptions:
        groups.setdefault(f"{one.product} {one.event_type}", []).append(one)
    if any(len(given) > 1 and not all(one.where for one in given) for given in groups.values()):
        return None
    return [
        _row(event, group, condition)
        for event, given in groups.items()
        for group, one in enumerate(given)
        for condition in one.where
    ]


def rows_in(form: Form) -> list[ConditionField]:
    """Return the rows that a form has sent, in the order of their numbers; at most one more than the limit."""
    names = ("at", "event", "group", "path", "op", "value", "saved")
    given = zip(*(form.all(f"condition_{name}") for name in names), strict=False)
    found = sorted(islice(given, MOST_ROWS + 1), key=lambda one: to_number(one[0], digits=5) or 0)
    return [
        ConditionField(" ".join(event.split()), to_number(group, digits=5) or 0, path.strip(), op, value, saved)
        for _, event, group, path, op, value, saved in found
    ]


def to_text(rows: Iterable[ConditionField], events: Collection[str], catalog: Catalog | None) -> str:
    """Return the conditions of the chosen events as text, without rows that make no condition."""
    groups: dict[tuple[str, int], list[Condition]] = {}
    for row in rows:
        if row.event in events and not row.blank:
            try:
                condition = to_condition(row, catalog)
            except UnihooksError:
                continue
            groups.setdefault((row.event, row.group), []).append(condition)
    return "\n\n".join("\n".join([event, *map(conditions_text.line_of, where)]) for (event, _), where in groups.items())


def to_condition(row: ConditionField, catalog: Catalog | None) -> Condition:
    """Return the condition of a row, or raise `InvalidWebhook`."""
    if not row.path:
        raise InvalidWebhook(gettext("Choose a property"), name="path")
    if row.op in WITHOUT_VALUE:
        return Condition(row.path, row.op)
    if not row.value.strip():
        raise InvalidWebhook(gettext('Enter a value; "" is the empty text'), name="value")
    return Condition(row.path, row.op, _value(row, catalog))


def examples(event: str, catalog: Catalog | None) -> Iterator[EventType]:
    """Yield the event types of the catalog that a subscription stands for."""
    product, _, subscribed = event.partition(" ")
    if catalog is not None and product in catalog:
        yield from (one for one in catalog[product] if covers(subscribed, one.name))


def _row(event: str, group: int, condition: Condition) -> ConditionField:
    if condition.op in WITHOUT_VALUE:
        return ConditionField(event, group, condition.path, condition.op.value)
    value = list(condition.value) if condition.op in _LISTS else condition.value
    saved = json.dumps(value, ensure_ascii=False)
    return ConditionField(event, group, condition.path, condition.op.value, _shown(value), saved)


def _shown(value: Any) -> str:
    """Return how a value is typed: a text that would be taken for anything else is in quotes."""
    if isinstance(value, list):
        parts = [_shown(one) for one in value]
        plain = all(part.strip() == part and part and not set(part) & set(',"[') for part in parts)
        return ", ".join(parts) if plain else json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = (
        value.strip() == value
        and value.isprintable()
        and not value.startswith('"')
        and conditions_text.read_value(value) == value
    )
    return value if is_plain and value else json.dumps(value, ensure_ascii=False)


def _value(row: ConditionField, catalog: Catalog | None) -> Any:
    text = row.value.strip()
    if row.saved and (saved := conditions_text.read_value(row.saved)) != row.saved and _shown(saved) == text:
        return saved
    is_text = row.op in _TEXTS or _has_text_at(row, catalog)
    if row.op not in _LISTS:
        return _scalar(text, is_text=is_text)
    if text.startswith("["):
        return conditions_text.read_value(text)
    return [_scalar(part.strip(), is_text=is_text) for part in text.split(",") if part.strip()]


def _scalar(text: str, *, is_text: bool) -> Any:
    value = conditions_text.read_value(text)
    # A number that stands where the event has texts, such as a phone number, is meant as a text.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_text and is_number else value


def _has_text_at(row: ConditionField, catalog: Catalog | None) -> bool:
    try:
        steps = parse_path(row.path)
    except InvalidMapping:
        return False
    for event in examples(row.event, catalog):
        found = list(islice(values_at(event.example, steps), 1))
        found += found[0][:1] if found and isinstance(found[0], list) else []
        if found:
            return isinstance(found[-1], str)
        kind = next((one.kind for one in schema.rows(event.schema) if one.path == row.path), "")
        if kind:
            return kind.startswith(("string", '"'))
    return False


def properties(event: str, catalog: Catalog | None, most: int) -> Sequence[tuple[str, str]]:
    """Return the paths that the examples and schemas of an event name, each with a value or a kind."""
    found: dict[str, str] = {}
    for one in examples(event, catalog):
        for row in tree.rows(one.example, ()):
            found.setdefault(row.path, row.value)
        for each in schema.rows(one.schema):
            found.setdefault(each.path, each.kind)
        if len(found) >= most:
            break
    return list(islice(found.items(), most))
