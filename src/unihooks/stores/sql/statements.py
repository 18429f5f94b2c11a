"""Statements by name, as a database's `.sql` files have them.

A file holds entries of this form; a line that begins with `--` before the SQL
and is none of these headers is a comment:

    -- name: add_deliveries
    -- rows: tenant, id, product         the columns of its table parameter, `:rows`
    -- columns: id, state                the columns that it returns, where a database wants to know them
    -- bytes: body                       which of its columns or rows hold bytes
    INSERT INTO ...

An entry without SQL does nothing: the other database needs a step there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable

from attrs import frozen

from unihooks.exceptions import StoreError

_HEADER = re.compile(r"-- (name|rows|columns|bytes): (.+)")


@frozen
class Statement:
    """A named statement; parameters stand in `text` as :named ones."""

    name: str
    text: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    bytes: str | None = None


def load(folder: Traversable) -> dict[str, Statement]:
    """Return the statements of all `.sql` files of a folder, by name."""
    statements: dict[str, Statement] = {}
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".sql"):
            for statement in parse(file.read_text(encoding="utf-8")):
                if statement.name in statements:
                    raise StoreError(f"the statement {statement.name} is defined twice", name=statement.name)
                statements[statement.name] = statement
    return statements


def parse(text: str) -> Iterator[Statement]:
    """Yield the statements of a file.

    >>> [one] = parse("-- name: add\\n-- rows: id, state\\nINSERT INTO t VALUES :rows\\n")
    >>> one.name, one.rows, one.text
    ('add', ('id', 'state'), 'INSERT INTO t VALUES :rows')
    """
    for entry in re.split(r"^(?=-- name: )", text, flags=re.MULTILINE):
        if not entry.startswith("-- name: "):
            continue
        headers: dict[str, str] = {}
        lines: list[str] = []
        for line in entry.splitlines():
            found = _HEADER.fullmatch(line)
            if found and not lines:
                headers[found[1]] = found[2].strip()
            elif not line.startswith("--"):
                lines.append(line)
        yield Statement(
            headers["name"],
            "\n".join(lines).strip(),
            _names(headers.get("rows", "")),
            _names(headers.get("columns", "")),
            headers.get("bytes"),
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
