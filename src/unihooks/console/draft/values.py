"""Write a draft as JSON and read it back; show it without the values of its headers, and put them back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from attrs import asdict, evolve
from cattrs import Converter
from cattrs.errors import BaseValidationError

from unihooks.console.draft.draft import FIELDS, KEEP, NEW, Draft, HeaderField

_converter = Converter(detailed_validation=False)


def write(draft: Draft) -> dict[str, Any]:
    """Return all entries."""
    value = {name: value for name, value in asdict(draft).items() if name in FIELDS}
    return value | {"policy": {name: text for name, text in draft.policy.items() if text}}


def read(value: dict[str, Any]) -> Draft | None:
    """Return the draft of a value; None if it was written by a version that this one cannot read."""
    try:
        return _converter.structure(value, Draft)
    except (BaseValidationError, TypeError, ValueError, KeyError):
        return None


def shown(draft: Draft, unsaved: Collection[str] = ()) -> Draft:
    """Return the draft as pages show it, without the values of its headers; pages say only that there are some.

    Values in `unsaved` were typed on a page that is refused: they stay in their fields.
    """
    hidden = (bool(row.value) and row.value not in unsaved for row in draft.headers)
    rows = zip(draft.headers, hidden, strict=True)
    return evolve(draft, headers=[_without_value(row) if is_hidden else row for row, is_hidden in rows])


def with_values(headers: Iterable[HeaderField], before: Iterable[HeaderField]) -> list[HeaderField]:
    """Return the rows that a page has sent, with the values that it does not show."""
    values: dict[str, list[str]] = {}
    for row in before:
        values.setdefault(row.name, []).append(row.value)
    rows: list[HeaderField] = []
    for row in headers:
        kept = values.get(row.name, [])
        old = kept.pop(0) if row.saved and kept else ""
        is_done = row.choice == KEEP or row.value
        rows.append(HeaderField(row.name, row.value or old, NEW if is_done else row.choice))
    return rows


def _without_value(row: HeaderField) -> HeaderField:
    return HeaderField(row.name, "", KEEP if row.choice == NEW else row.choice)
