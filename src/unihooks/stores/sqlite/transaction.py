"""Run named statements on an SQLite connection, over many rows in few steps.

Each step releases the interpreter's lock and has to get it back, which takes longer than the step itself if an event
loop is busy.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar

from attrs import frozen

from unihooks.stores.sql.statements import NAMED, TABLE, Selection, Statement, Statements
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction

T = TypeVar("T")

DIALECT = [
    (r"^CREATE INDEX (\w+)(\s+ON) unihooks\.", r"CREATE INDEX main.unihooks_\1\2 unihooks_"),
    (r"\bunihooks\.(?=\w)", "main.unihooks_"),
    (r' COLLATE "C"', ""),
    (r"\bbytea\b", "BLOB"),
    (r"\bboolean\b", "INTEGER"),
    # How PostgreSQL keeps a table.
    (r"^\) (WITH \([^)]*\)|PARTITION BY \w+ \([^)]*\))", ")"),
    (r"= ANY\((:\w+)\)", r"IN (SELECT value FROM json_each(\1))"),
    (r"^SELECT r\.\* FROM :rows AS r$", "VALUES :rows"),
    (r"\bstrpos\(", "instr("),
    (r"\bleast\(", "min("),
    (r"\bgreatest\(", "max("),
    (r"\bjson_agg\(", "json_group_array("),
    # A partial index is used only for a condition in its own words.
    (r"= true\b", "= 1"),
    (r"= false\b", "= 0"),
    # SQLite keeps no statistics; this makes it join in the written order.
    (r"(?<!LEFT )JOIN ", "CROSS JOIN "),
    # A write transaction excludes all others, so there is nothing to lock.
    (r"\s+FOR (UPDATE|NO KEY UPDATE|KEY SHARE)( OF \w)?( SKIP LOCKED)?", ""),
]
STATEMENTS = Statements(files("unihooks.stores.sqlite") / "statements", DIALECT)

# Few sizes lead to few statements, which are compiled once and reused; few rows take one step.
_SIZES, _FEW = (256, 128, 64, 32), 16
_VALUES = re.compile(r"VALUES\s+:rows")
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@frozen
class _Compiled:
    """A statement as SQLite runs it: its text before and after the rows of a VALUES.

    A packed one returns all its rows as one.
    """

    statement: Statement
    is_packed: bool
    before: str
    after: str | None
    names: tuple[str, ...]
    names_after: tuple[str, ...]


class SQLiteTransaction(Transaction):
    """A transaction on one of the store's connections.

    `is_utf8` is False if the host has created its file with texts in UTF-16.
    """

    errors = sqlite3.Error
    statements = STATEMENTS
    has_statistics = False

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], int], *, is_utf8: bool = True) -> None:
        self.now = now()
        self._time = now
        self._connection = connection
        self._is_utf8 = is_utf8

    def fetch(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> list[Row]:
        return self._execute(name, rows, values)

    def run(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> int:
        return self._outcome(name, rows, values).changed

    def pipeline(self, *calls: Call, commit: bool = False) -> list[Outcome]:  # noqa: ARG002 - the writer commits
        return [self._outcome(call.name, call.rows, call.values) for call in calls]

    def query(self, text: str, selection: Selection, /) -> list[Row]:
        given = {name: _adapted(value) for name, value in selection.values.items()}
        return self._connection.execute(text, {**given, "limit": selection.limit}).fetchall()

    def script(self, text: str, /) -> None:
        for statement in text.split(";\n"):
            if statement.strip():
                self._connection.execute(statement)

    def time(self) -> int:
        return self._time()

    def _outcome(self, name: str, rows: Sequence[Row] | None, values: Mapping[str, Any]) -> Outcome:
        before = self._connection.total_changes
        found = self._execute(name, rows, values)
        return Outcome(found, self._connection.total_changes - before)

    def _execute(self, name: str, rows: Sequence[Row] | None, values: Mapping[str, Any]) -> list[Row]:
        compiled = _compiled(name, self._is_utf8)
        if not compiled.before or (rows is not None and not rows):
            return []
        if compiled.after is not None and rows is not None:
            return self._execute_in_chunks(compiled, rows, values)
        given = {key: _adapted(value) for key, value in values.items()}
        if rows is not None and compiled.statement.list:
            for alike in _alike(compiled.statement, rows):
                self._connection.execute(compiled.before, given | alike)
            return []
        if rows is not None:
            given["rows"] = _ENCODER.encode(rows)
        cursor = self._connection.execute(compiled.before, given)
        if compiled.statement.groups:
            return _ungrouped(cursor)
        return _unpacked(cursor) if compiled.is_packed else cursor.fetchall()

    def _execute_in_chunks(self, compiled: _Compiled, rows: Sequence[Row], values: Mapping[str, Any]) -> list[Row]:
        found: list[Row] = []
        head = [_adapted(values[name]) for name in compiled.names]
        tail = [_adapted(values[name]) for name in compiled.names_after]
        for piece in chunks(rows):
            given = [*head, *chain.from_iterable(piece), *tail]
            text = _with_values(compiled.before, compiled.after or "", len(compiled.statement.rows), len(piece))
            cursor = self._connection.execute(text, given)
            found += _unpacked(cursor) if compiled.is_packed else cursor.fetchall()
        return found


def _alike(statement: Statement, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield the parameters for rows that differ in one column only, which takes half the time of a full table."""
    key, position = _likeness(statement.name)
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    for these in groups.values():
        alike = dict(zip(statement.rows, these[0], strict=True))
        yield {**alike, statement.rows[position]: _ENCODER.encode([row[position] for row in these])}


@cache
def _likeness(name: str) -> tuple[Callable[[Row], Any], int]:
    """Return the columns in which a statement's rows must agree, and the position of the one that may differ."""
    statement = STATEMENTS[name]
    used = [statement.rows.index(column) for column in NAMED.findall(statement.text) if column in statement.rows]
    position = statement.rows.index(statement.list or "")
    agreeing = [one for one in dict.fromkeys(used) if one != position]
    return itemgetter(*agreeing) if agreeing else lambda _: None, position


def _adapted(value: Any) -> Any:
    """Return a parameter as SQLite takes it: a set of values as JSON, for json_each."""
    kind = type(value)
    if kind is list or kind is tuple:
        return _ENCODER.encode(value)
    return _ENCODER.encode(list(value)) if kind is set or kind is frozenset else value


@cache
def _compiled(name: str, is_utf8: bool) -> _Compiled:  # noqa: FBT001 - a cache is faster without names
    statement = STATEMENTS[name]
    # SQLite concatenates bytes as if they were texts, which would change them in UTF-16.
    is_packed = bool(statement.columns) and (is_utf8 or statement.bytes is None)
    text = _in_one_step(statement) if is_packed else statement.text
    if table := TABLE.search(text):
        text = f"WITH {table[1]} ({', '.join(statement.rows)}) AS (VALUES :rows)\n{TABLE.sub(table[1], text)}"
    found = _VALUES.search(text)
    if found is None:
        return _Compiled(statement, is_packed, text, None, (), ())
    before, after = text[: found.start()], text[found.end() :]
    numbered = [NAMED.sub("?", part) for part in (before, after)]
    names = [tuple(NAMED.findall(part)) for part in (before, after)]
    return _Compiled(statement, is_packed, numbered[0], numbered[1], names[0], names[1])


def _in_one_step(statement: Statement) -> str:
    """Return a SELECT of one row with an array of all rows, and all bytes, which JSON cannot hold, beside it."""
    columns = [f"length({name})" if name == statement.bytes else name for name in statement.columns]
    joined = f", CAST(group_concat({statement.bytes}, '') AS BLOB)" if statement.bytes else ""
    return f"SELECT json_group_array(json_array({', '.join(columns)})){joined} FROM (\n{statement.text}\n)"  # noqa: S608 - only names


def _unpacked(cursor: sqlite3.Cursor) -> list[Row]:
    text, *joined = cursor.fetchone()
    rows: list[list[Any]] = json.loads(text)
    start = 0
    for row in rows if joined else ():
        end = start + (row[-1] or 0)
        row[-1] = (joined[0] or b"")[start:end]
        start = end
    return list[Row](rows) if joined else rows  # type: ignore[return-value] # lists are rows, and copying them costs


def _ungrouped(cursor: sqlite3.Cursor) -> list[Row]:
    found: list[Row] = []
    for *head, rows in json.loads(cursor.fetchone()[0]):
        for row in rows:
            row[:0] = head
        found += rows
    return found


@lru_cache(maxsize=1_000)
def _with_values(before: str, after: str, width: int, count: int) -> str:
    one = f"({', '.join('?' * width)})"
    return f"{before}VALUES {', '.join([one] * count)}{after}"


def chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the rows for one statement with VALUES, then those for the next."""
    start = 0
    while left := len(rows) - start:
        size = next((size for size in _SIZES if left >= size), min(left, _FEW))
        yield rows[start : start + size]
        start += size
