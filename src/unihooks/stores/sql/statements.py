"""Named statements, as read from a database's `.sql` files.

A file holds entries of this form; a line that begins with `--` before the SQL
and is none of these headers is a comment:

    -- name: add_deliveries                      or several names for one statement
    -- rows: tenant text, id text        the columns of its table parameter, `VALUES :rows` or `FROM :rows AS r`,
                                         with types as PostgreSQL has them where it cannot tell
    -- columns: id, state                the columns that it returns, where a database wants to know them
    -- groups: tenant; id, state         its columns, where it returns one JSON array, with an array of rows for each
                                         of what comes before the semicolon
    -- bytes: body                       which of its columns or rows hold bytes
    -- list: id                          the column of its rows that it takes as a list, for rows that agree otherwise
    INSERT INTO ...

An entry without SQL does nothing: the other database needs a step there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from attrs import define, field, frozen

from unihooks.exceptions import StoreError

# Patterns in shared SQL, and their replacements in the SQL of one database.
Dialect = Sequence[tuple[str, str]]

_SHARED = files("unihooks.stores.sql") / "statements"
_HEADER = re.compile(r"^-- (rows|columns|groups|bytes|list): (.+)$", re.MULTILINE)
# A parameter, but not a cast.
NAMED = re.compile(r"(?<![:\w]):(\w+)")
# The place where a statement reads its rows.
TABLE = re.compile(r"(?<=FROM ):rows AS (\w+)")
# A condition quotes a statement by its name in braces.
_QUOTED = re.compile(r"\{(\w+)\}")


@frozen
class Statement:
    """A named statement; its parameters are written `:name` in `text`.

    `typed` are the columns of its rows with their types.
    """

    name: str
    text: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    bytes: str | None = None
    list: str | None = None
    typed: str = ""
    groups: str = ""


@define
class Selection:
    """The choice of rows of a named SELECT, and their order.

    `conditions` are SQL texts, in the words of shared statements, that all hold;
    `values` their parameters. The SELECT ends with a WHERE clause.
    """

    conditions: list[str] = field(factory=list)
    values: dict[str, Any] = field(factory=dict)
    order: str = ""
    limit: int | None = None

    def where(self, condition: str, **values: Any) -> None:
        """Add a condition, unless each of its parameters is None."""
        if all(value is None for value in values.values()):
            return
        self.conditions.append(condition)
        self.values.update(values)


class Statements(dict[str, Statement]):
    """The statements of a database by name: those in its own folder, and those that all databases share.

    Shared statements say `unihooks.webhooks`, `= ANY(:ids)` and `FROM :rows AS r`, lock rows as PostgreSQL does, and
    choose an index as SQLite does. The database's own entries take precedence.
    """

    def __init__(self, folder: Traversable, dialect: Dialect = ()) -> None:
        super().__init__()
        self._dialect = dialect
        self._add(folder, ())
        self._add(_SHARED, dialect)

    def _add(self, folder: Traversable, dialect: Dialect) -> None:
        seen: set[str] = set()
        for file in sorted(folder.iterdir(), key=lambda item: item.name):
            text = file.read_text(encoding="utf-8") if file.name.endswith(".sql") else ""
            for statement in parse(translated(text, dialect)):
                # A database's own entry takes precedence over the shared one, but two in one folder are a mistake.
                if statement.name in seen:
                    raise StoreError(f"the statement {statement.name} is defined twice", name=statement.name)
                seen.add(statement.name)
                self.setdefault(statement.name, statement)

    def selecting(self, name: str, selection: Selection) -> str:
        """Return the text of a named SELECT that returns the selected rows."""
        conditions = translated("".join(f" AND {one}" for one in selection.conditions), self._dialect)
        quoted = _QUOTED.sub(lambda found: self[found[1]].text, conditions)
        order = f"ORDER BY {selection.order}" if selection.order else ""
        limit = "" if selection.limit is None else "LIMIT :limit"
        return f"{self[name].text}{quoted} {order} {limit}"


def translated(text: str, dialect: Dialect) -> str:
    """Return shared SQL as a database understands it."""
    for pattern, replacement in dialect:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def parse(text: str) -> Iterator[Statement]:
    r"""Yield the statements of a file.

    >>> [one] = parse("-- name: add\n-- rows: id, state\nINSERT INTO t VALUES :rows\n")
    >>> one.name, one.rows, one.text
    ('add', ('id', 'state'), 'INSERT INTO t VALUES :rows')
    """
    _, *parts = re.split(r"^-- name: ([\w, ]+)$", text, flags=re.MULTILINE)
    for names, entry in zip(parts[::2], parts[1::2], strict=True):
        lines = [line for line in entry.splitlines() if not line.startswith("--")]
        headers = dict(_HEADER.findall(entry))
        typed, columns = headers.pop("rows", ""), headers.pop("columns", "")
        rows, returned = (tuple(re.findall(r"(\w+)[^,]*", one)) for one in (typed, columns))
        for name in names.split(", "):
            yield Statement(name, "\n".join(lines).strip(), rows, returned, typed=typed, **headers)
