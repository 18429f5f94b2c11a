"""Run statements in the store's schema, over many rows at once."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.prepared import Prepared

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
# Statements that come along with the BEGIN, and their parameters.
Opening = tuple[tuple[str, ...], dict[str, Any]]

# A process that is frozen in a transaction, or has vanished, must not hold its locks until its leases have ended.
IDLE_AT_MOST = "5s"
# Statistics lag behind a queue, and mislead the planner: every statement of ours has an index made for it. A plan that
# is kept would mislead for longer.
BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def setting(settings: Mapping[str, str]) -> str:
    """Return the statement that makes settings until the transaction ends."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


class Schema:
    """Put the schema's name where statements say `unihooks.`, so that no search path matters."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.quoted = '"' + name.replace('"', '""') + '"'
        self._done: dict[str, str] = {}
        self._prepared = Prepared()

    def placed(self, statement: str) -> str:
        """Return the statement for this schema."""
        done = self._done.get(statement)
        if done is None:
            done = self._done[statement] = self.renamed(statement)
        return done

    def called(self, connection: psycopg.Connection[Any], statement: str) -> str:
        """Return the shortest text that runs the statement for this schema on the connection."""
        return self._prepared.called(connection, self.placed(statement))

    def renamed(self, script: str) -> str:
        """Do what `placed` does, keeping nothing."""
        return script.replace("unihooks.", f"{self.quoted}.")


class Statements:
    """Be an open transaction (or a connection that commits by itself), with the time by the store's clock.

    `opening` are the rows of each statement that came along with the BEGIN.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], schema: Schema, now: int, opening: Sequence[Sequence[Row]] = ()
    ) -> None:
        self.now = now
        self.opening = opening
        self.schema = schema
        self._connection = connection

    def fetch(self, statement: str, /, **parameters: Any) -> list[Row]:
        """Return the rows of a statement with %(named)s parameters."""
        with self._connection.cursor(binary=True) as cursor:
            rows: list[Row] = cursor.execute(self.schema.placed(statement).encode(), parameters or None).fetchall()
            return rows

    def fetch_one(self, statement: str, /, **parameters: Any) -> Row | None:
        """Return the first row, if there is one."""
        rows = self.fetch(statement, **parameters)
        return rows[0] if rows else None

    def fetch_last(self, *statements: str, commit: bool = False, **parameters: Any) -> list[Row]:
        """Do what `fetch_each` does; return the last's rows."""
        return self.fetch_each(*statements, commit=commit, **parameters)[-1]

    def fetch_each(self, *statements: str, commit: bool = False, **parameters: Any) -> list[list[Row]]:
        """Run statements in one round trip, each seeing what is there when it begins; return the rows of each.

        They are prepared where that may be done: this is for what runs again and again, and by index.
        With `commit` the transaction ends with them.
        """
        text = ";".join(self.schema.called(self._connection, statement) for statement in statements)
        sets = fetch_sets(self._connection, f"{text};COMMIT" if commit else text, parameters)
        return sets[: len(statements)]

    def run(self, statement: str, /, **parameters: Any) -> int:
        """Return how many rows a statement changed."""
        with self._connection.cursor() as cursor:
            return cursor.execute(self.schema.placed(statement).encode(), parameters or None).rowcount

    def insert(self, table: str, columns: str, rows: Sequence[Row], after: str = "") -> None:
        """Insert a few rows of any types."""
        if not rows:
            return
        one = f"({', '.join(['%s'] * len(rows[0]))})"
        statement = (
            f"INSERT INTO {self.schema.quoted}.{table} ({columns}) VALUES {', '.join([one] * len(rows))} {after}"
        )
        with self._connection.cursor() as cursor:
            cursor.execute(statement.encode(), list(chain.from_iterable(rows)))


def fetch_sets(
    connection: psycopg.Connection[Any], text: str, parameters: Mapping[str, Any] | None = None
) -> list[list[Row]]:
    """Run statements in one round trip; return the rows of each, none where there cannot be any."""
    with driver().ClientCursor(connection) as cursor:
        cursor.execute(text.encode(), parameters)
        sets = [_rows(cursor)]
        while cursor.nextset():
            sets.append(_rows(cursor))
        return sets


def _rows(cursor: psycopg.Cursor[Row]) -> list[Row]:
    # A cursor's description is made anew whenever it is looked at.
    return [] if cursor.rownumber is None else cursor.fetchall()


def as_json(value: object) -> str:
    """Render a parameter for json_to_recordset."""
    return _ENCODER.encode(value)


def keyed(names: str, rows: Iterable[Sequence[Any]]) -> str:
    """Render rows as the JSON objects that json_to_recordset reads."""
    split = names.split(", ")
    return _ENCODER.encode([dict(zip(split, row, strict=True)) for row in rows])


def packed(bodies: Iterable[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    """Join bytes into one parameter; return it and the start (from 1) and length of each."""
    pieces: list[bytes] = []
    places: list[tuple[int, int]] = []
    start = 1
    for body in bodies:
        pieces.append(body)
        places.append((start, len(body)))
        start += len(body)
    return b"".join(pieces), places
