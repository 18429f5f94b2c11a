"""Run statements over many rows in few steps: each step gives up the interpreter's lock and must win it back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

_CHUNKS = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut rows into pieces of a few fixed sizes, so that few statements are compiled and then reused."""
    start = 0
    for size in _CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def with_values(
    connection: sqlite3.Connection,
    before: str,
    rows: Sequence[tuple[Any, ...]],
    after: str = "",
    *,
    shared: tuple[Any, ...] = (),
) -> None:
    """Execute `before VALUES (...), (...) after` over all rows; `shared` are the parameters in `before`."""
    if not rows:
        return
    one = f"({', '.join('?' * len(rows[0]))})"
    for piece in chunks(rows):
        statement = f"{before} VALUES {', '.join([one] * len(piece))} {after}"
        connection.execute(statement, (*shared, *chain.from_iterable(piece)))


def fetch_json(
    connection: sqlite3.Connection, statement: str, parameters: dict[str, Any] | tuple[Any, ...]
) -> list[Any]:
    """Return the array that a statement of one row and one column yields as JSON."""
    row = connection.execute(statement, parameters).fetchone()
    return list(json.loads(row[0])) if row and row[0] else []


def as_json(value: object) -> str:
    """Render a parameter for json_each."""
    return _ENCODER.encode(value)
