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
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from attrs import frozen

from unihooks.exceptions import StoreError
from unihooks.stores.sql.transaction import Selection

_SHARED = files("unihooks.stores.sql") / "statements"
_HEADER = re.compile(r"-- (name|rows|columns|bytes): (.+)")


@frozen
class Statement:
    """A named statement; parameters stand in `text` as :named ones."""

    name: str
    text: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    bytes: str | None = None


class Statements(dict[str, Statement]):
    """The statements of a database by name: those in a folder of its own, and those that all databases share.

    What is shared says `unihooks.webhooks`, `= ANY(:ids)` and `VALUES :rows`, and locks rows as PostgreSQL does;
    `dialect` are patterns in it and what the database says instead. An entry of the database's own comes first.
    """

    def __init__(self, folder: Traversable, dialect: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._add(folder, ())
        self._add(_SHARED, dialect)

    def _add(self, folder: Traversable, dialect: Iterable[tuple[str, str]]) -> None:
        for file in sorted(folder.iterdir(), key=lambda item: item.name):
            text = file.read_text(encoding="utf-8") if file.name.endswith(".sql") else ""
            for pattern, replacement in dialect:
                text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
            for statement in parse(text):
                if statement.name in self and folder is not _SHARED:
                    raise StoreError(f"the statement {statement.name} is defined twice", name=statement.name)
                self.setdefault(statement.name, statement)

    def selecting(self, name: str, selection: Selection) -> str:
        """Return the text of a named SELECT that returns the selected rows."""
        texts = _Texts(self)
        conditions = [item.format_map(texts) if "{" in item else item for item in selection.conditions]
        order = f"ORDER BY {selection.order}" if selection.order else ""
        limit = "" if selection.limit is None else "LIMIT :limit"
        return " ".join([" AND ".join([self[name].text, *conditions]), order, limit])


class _Texts(dict[str, str]):
    """The texts of statements, for conditions that quote one by its name."""

    def __init__(self, statements: Statements) -> None:
        super().__init__()
        self._statements = statements

    def __missing__(self, name: str) -> str:
        return self._statements[name].text


def parse(text: str) -> Iterator[Statement]:
    r"""Yield the statements of a file.

    >>> [one] = parse("-- name: add\n-- rows: id, state\nINSERT INTO t VALUES :rows\n")
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
