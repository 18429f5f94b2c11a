"""Lay out an example payload as a tree whose properties can be removed and renamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from unihooks._message.paths import ANY, Path, parse_path
from unihooks.console.draft.mapping_text import Rule
from unihooks.exceptions import InvalidMapping

_MOST_ROWS = 400
_MOST_DEPTH = 12
_SHOWN = 60
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@frozen(kw_only=True)
class Row:
    """One property; `rule` is the rule for it, `gone` says that a property around it is removed."""

    depth: int
    path: str
    key: str
    value: str
    is_element: bool = False
    rule: Rule | None = None
    gone: bool = False


def rows(payload: Any, rules: Sequence[Rule]) -> list[Row]:
    """Return the properties in the order of the payload; of an array, those of its first element."""
    known = {}
    for rule in rules:
        try:
            known[parse_path(rule.path)] = rule
        except InvalidMapping:
            continue
    found: list[Row] = []
    for row in _inside(payload, "", (), known, gone=False):
        found.append(row)
        if len(found) == _MOST_ROWS:
            break
    return found


def shown(value: Any) -> str:
    """Return a value on one line, shortened."""
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[…]" if value else "[]"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _inside(value: Any, text: str, path: Path, known: dict[Path, Rule], *, gone: bool) -> Iterator[Row]:
    if len(path) >= _MOST_DEPTH:
        return
    for step, key, child in _children(value):
        where, at = _joined(text, step), (*path, step)
        rule = known.get(at)
        removed = gone or (rule is not None and rule.name is None)
        is_element = step is ANY
        yield Row(depth=len(path), path=where, key=key, value=shown(child), is_element=is_element, rule=rule, gone=gone)
        yield from _inside(child, where, at, known, gone=removed)


def _children(value: Any) -> Iterator[tuple[Any, str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield key, key, child
    elif isinstance(value, (list, tuple)) and value:
        yield ANY, "[*]", value[0]


def _joined(text: str, step: Any) -> str:
    if step is ANY:
        return f"{text}[*]"
    if not _BARE.fullmatch(step):
        escaped = step.replace("\\", "\\\\").replace("'", "\\'")
        return f"{text}['{escaped}']"
    return f"{text}.{step}" if text else step
