"""Show the result of a mapping for an example, line by line, with removed and renamed properties marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any

from attrs import evolve, frozen

from unihooks._message.mapping import PayloadMapping
from unihooks._message.paths import ANY, Path, Step, parse_path
from unihooks.console.draft.tree import shown

_MOST_LINES = 2_000


class Mark(StrEnum):
    """The change of the property on a line."""

    KEPT = ""
    GONE = "gone"
    RENAMED = "renamed"


@frozen(kw_only=True)
class Line:
    """One line of the request body: `key` and `value` are JSON, and `was` is the name before a rename."""

    depth: int
    key: str = ""
    value: str = ""
    kind: str = ""
    end: str = ""
    mark: Mark = Mark.KEPT
    was: str = ""


@frozen
class _Rule:
    """A rule on its way down the payload: `path` is the rest of its path."""

    path: Path
    name: str | None = None

    def inside(self, step: Step) -> Iterator[_Rule]:
        if self.path and (self.path[0] == step or self.path[0] is ANY):
            yield evolve(self, path=self.path[1:])


def lines_of(payload: Any, mapping: PayloadMapping) -> list[Line]:
    """Return the lines of the request body, including what the mapping removes."""
    removed = [_Rule(parse_path(path)) for path in mapping.remove]
    renamed = [_Rule(parse_path(path), name) for path, name in mapping.rename.items()]
    return list(islice(_value(payload, [*removed, *renamed], Line(depth=0)), _MOST_LINES))


def is_empty(value: Any) -> bool:
    """Return whether a payload contains no values, only objects and lists."""
    if isinstance(value, dict):
        return all(map(is_empty, value.values()))
    return isinstance(value, list | tuple) and all(map(is_empty, value))


def _value(value: Any, rules: Sequence[_Rule], line: Line) -> Iterator[Line]:
    """Yield the lines of a value, which begins on the given one."""
    if not isinstance(value, dict | list | tuple) or not value:
        yield evolve(line, value=json.dumps(value, ensure_ascii=False), kind=_kind(value))
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield evolve(line, value=opening, end="")
    yield from _inside(value, rules, line.depth + 1)
    yield Line(depth=line.depth, value=closing, end=line.end)


def _inside(value: Any, rules: Sequence[_Rule], depth: int) -> Iterator[Line]:
    children = list(value.items() if isinstance(value, dict) else enumerate(value))
    found = [(step, child, [inside for rule in rules for inside in rule.inside(step)]) for step, child in children]
    names = {step: _name(ahead) for step, _, ahead in found}
    taken = {name for name in names.values() if name is not None}
    gone = {step for step, _, ahead in found if _is_removed(ahead) or (names[step] is None and step in taken)}
    last = next((step for step, _ in reversed(children) if step not in gone), None)
    for step, child, ahead in found:
        key = step if isinstance(step, str) else None
        if step in gone:
            yield Line(depth=depth, key=_text(key), value=shown(child), kind=_kind(child), mark=Mark.GONE)
            continue
        line = Line(depth=depth, key=_text(key), end="" if step == last else ",")
        if (name := names[step]) is not None:
            line = evolve(line, key=_text(name), mark=Mark.RENAMED, was=str(step))
        yield from _value(child, [rule for rule in ahead if rule.path], line)


def _is_removed(rules: Sequence[_Rule]) -> bool:
    return any(not rule.path and rule.name is None for rule in rules)


def _name(rules: Sequence[_Rule]) -> str | None:
    """Return the new name that the last of the rules gives, unless one of them removes the property."""
    names = [rule.name for rule in rules if not rule.path and rule.name is not None]
    return names[-1] if names and not _is_removed(rules) else None


def _text(key: str | None) -> str:
    return "" if key is None else json.dumps(key, ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return ""
    if isinstance(value, bool) or value is None:
        return "literal"
    return "string" if isinstance(value, str) else "number"
