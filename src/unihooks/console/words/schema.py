"""Lay out a JSON Schema as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from unihooks.console.words.locale import gettext, of_host

_MOST_ROWS = 300
_MOST_DEPTH = 8


@frozen
class Property:
    """One property that a schema describes."""

    path: str
    kind: str
    required: bool
    description: str


def rows(schema: Any) -> list[Property]:
    """Return the properties that a schema names, including those of nested objects and arrays."""
    found: list[Property] = []
    for row in _inside(schema, "", 0):
        found.append(row)
        if len(found) == _MOST_ROWS:
            break
    return found


def _inside(schema: Any, path: str, depth: int) -> Iterator[Property]:
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return
    required, properties = schema.get("required"), schema.get("properties")
    for name, child in properties.items() if isinstance(properties, dict) else ():
        where = f"{path}.{name}" if path else str(name)
        yield Property(where, _kind(child), isinstance(required, list) and name in required, _described(child))
        yield from _inside(child, where, depth + 1)
    if isinstance(schema.get("items"), dict):
        yield from _inside(schema["items"], f"{path}[*]", depth + 1)


def _kind(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any" if schema is True else "none"
    if isinstance(schema.get("enum"), list):
        return " | ".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"][:12])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    kind = schema.get("type", "any")
    named = " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    return f"{named} ({schema['format']})" if "format" in schema else named


def _described(schema: Any) -> str:
    found = (schema.get("description") or schema.get("title") or "") if isinstance(schema, dict) else ""
    own = of_host(str(found))
    # Descriptions of operational events are the library's own, so it translates them.
    return own if own != found or not found else gettext(own)
