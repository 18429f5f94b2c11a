"""Run named statements on a PostgreSQL connection: several in one round trip, prepared where possible."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from unihooks._base.ids import first_id
from unihooks._base.times import DAY
from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.prepared import called
from unihooks.stores.sql.statements import NAMED, TABLE, Selection, Statement, Statements
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction

if TYPE_CHECKING:
    import psycopg

# The table knows the types of its columns.
_INSERT = r"INSERT INTO (\S+)( AS \w+)? \(([^)]+)\)\s+VALUES :rows"
_INSERT_FROM_JSON = r"""INSERT INTO \1\2 (\3)
SELECT \3
FROM json_populate_recordset(CAST(NULL AS \1), CAST(:rows AS json)) AS r"""

DIALECT = [
    (_INSERT, _INSERT_FROM_JSON),
    # How SQLite keeps a table, and which index it is to use.
    (r" WITHOUT ROWID", ""),
    (r" INDEXED BY \w+", ""),
    (r"(?<= )\+(?=\w+\.)", ""),
]
STATEMENTS = Statements(files("unihooks.stores.postgres") / "statements", DIALECT)

# A few statements use the schema's name as a value.
_NAMING_SCHEMA = frozenset(name for name, statement in STATEMENTS.items() if ":schema" in statement.text)

# Others read only the last two days, so that their text and plan change each day.
_RECENT = "{recent}"
_OF_RECENT = frozenset(name for name, statement in STATEMENTS.items() if _RECENT in statement.text)
_DAY_SECONDS = 86_400

NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

# Other bytes than those that a statement declares are few, and go as hexadecimal text.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=lambda value: f"\\x{value.hex()}")
_NOTHING = Outcome([], 0)
_SETS = (set, frozenset, tuple)


class Schema:
    """The schema that statements run in: its name replaces `unihooks.` in them, so the search path does not matter."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.quoted = '"' + name.replace('"', '""') + '"'
        self._texts: dict[tuple[str, int], str] = {}

    def text(self, name: str) -> str:
        """Return a named statement as the driver takes it."""
        day = int(time.time()) // _DAY_SECONDS if name in _OF_RECENT else 0
        text = self._texts.get((name, day))
        if text is None:
            statement = STATEMENTS[name]
            read = TABLE.sub(lambda found: _recordset(statement, found[1]), statement.text)
            text = self.placed(read).replace(_RECENT, first_id("", (day - 1) * DAY))
            self._texts[name, day] = text
        return text

    def placed(self, text: str) -> str:
        """Return an SQL text as the driver takes it: in this schema, with its kind of parameters."""
        return NAMED.sub(r"%(\1)s", self.renamed(text))

    def renamed(self, script: str) -> str:
        """Put the schema's name into a script."""
        return script.replace("unihooks.", f"{self.quoted}.")


class PostgresTransaction(Transaction):
    """A transaction on a connection, or a connection that commits each statement by itself.

    `prefix` has texts that begin each pipeline. With `own_times` the time is that of the host's clock.
    """

    statements = STATEMENTS

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        schema: Schema,
        now: int,
        *,
        own_times: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        self.now = now
        self.errors = driver().Error
        self._connection = connection
        self._schema = schema
        self._own_times = own_times
        self._prefix = prefix

    def fetch(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> list[Row]:
        if not STATEMENTS[name].text or (rows is not None and not rows):
            return []
        return self._fetch(self._schema.text(name), self._parameters(name, rows, values))

    def run(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> int:
        if not STATEMENTS[name].text or (rows is not None and not rows):
            return 0
        with self._connection.cursor() as cursor:
            text = self._schema.text(name)
            return max(cursor.execute(text.encode(), self._parameters(name, rows, values) or None).rowcount, 0)

    def pipeline(self, *calls: Call, commit: bool = False) -> list[Outcome]:
        return self.between(self._prefix, calls, ["COMMIT"] if commit else [])[: len(calls)]

    def between(self, first: Sequence[str], calls: Sequence[Call], last: Sequence[str]) -> list[Outcome]:
        """Run calls between other texts, all in one message; return the outcomes of the calls and the last texts."""
        made = [call for call in calls if not (call.rows is not None and not call.rows) and STATEMENTS[call.name].text]
        if not made and not last:
            return [_NOTHING] * len(calls)
        parts = [*first, *map(self.mogrified, made), *last]
        outcomes = fetch_sets(self._connection, ";".join(parts))[len(first) :]
        done = dict(zip(map(id, made), outcomes, strict=False))
        return [done.get(id(call), _NOTHING) for call in calls] + outcomes[len(made) :]

    def query(self, text: str, selection: Selection, /) -> list[Row]:
        return self._fetch(self._schema.placed(text), {**_adapted(selection.values), "limit": selection.limit})

    def script(self, text: str, /) -> None:
        # Checked first, since IF NOT EXISTS needs the right to create a schema even if it exists.
        if not self.fetch("has_schema"):
            self.execute(f"CREATE SCHEMA {self._schema.quoted}")
        self.execute(text)

    def time(self) -> int:
        # The host's clock is read once per transaction.
        return self.now if self._own_times else int(self._fetch(f"SELECT {NOW}", {})[0][0])

    def execute(self, text: str) -> None:
        """Run an SQL text, which may have several statements."""
        self._connection.execute(self._schema.renamed(text).encode())

    def value(self, text: str) -> Any:
        """Return the single value that an SQL text selects."""
        return self._fetch(self._schema.renamed(text), {})[0][0]

    def mogrified(self, call: Call) -> str:
        """Return the text that runs a call, including its parameters; prepared where possible."""
        text = called(self._connection, self._schema.text(call.name))
        parameters = self._parameters(call.name, call.rows, call.values)
        if not parameters:
            return text
        with driver().ClientCursor(self._connection) as cursor:
            mogrified: str = cursor.mogrify(text, parameters)
            return mogrified

    def _fetch(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        with self._connection.cursor(binary=True) as cursor:
            rows: list[Row] = cursor.execute(text.encode(), parameters or None).fetchall()
            return rows

    def _parameters(self, name: str, rows: Sequence[Row] | None, values: Mapping[str, Any]) -> dict[str, Any]:
        given = _adapted(values)
        if name in _NAMING_SCHEMA:
            given["schema"] = self._schema.name
        return given if rows is None else {**given, **_table(STATEMENTS[name], rows)}


def fetch_sets(connection: psycopg.Connection[Any], text: str) -> list[Outcome]:
    """Run statements in one round trip; return the outcome of each."""
    with driver().ClientCursor(connection) as cursor:
        cursor.execute(text.encode())
        sets = [_outcome(cursor)]
        while cursor.nextset():
            sets.append(_outcome(cursor))
        return sets


def _outcome(cursor: psycopg.Cursor[Any]) -> Outcome:
    # A cursor's description is rebuilt on each access.
    return Outcome([] if cursor.rownumber is None else cursor.fetchall(), cursor.rowcount)


def _adapted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the driver takes them: a set of values as a list."""
    return {name: list(value) if value.__class__ in _SETS else value for name, value in values.items()}


def _recordset(statement: Statement, alias: str) -> str:
    """Return the SQL for a table of the rows in `_table`; each row's bytes are cut from those of all rows."""
    rows, name = "json_to_recordset(CAST(:rows AS json))", statement.bytes
    if name not in statement.rows:
        return f"{rows} AS {alias} ({statement.typed})"
    piece = f"substr(CAST(:{name}_all AS bytea), {name}_start, {name}_length) AS {name}"
    values = ", ".join([piece if one == name else one for one in statement.rows])
    packed = statement.typed.replace(f"{name} bytea", f"{name}_start integer, {name}_length integer")
    return f"(SELECT {values} FROM {rows} AS r ({packed})) AS {alias}"  # noqa: S608 - only names


def _table(statement: Statement, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the parameters that hold rows: JSON objects, and all bytes in one piece."""
    name = statement.bytes
    if name not in statement.rows:
        return {"rows": _keyed(statement.rows, rows)}
    place = statement.rows.index(name)
    names = (*statement.rows[:place], f"{name}_start", f"{name}_length", *statement.rows[place + 1 :])
    packed, start = [], 1
    for row in rows:
        packed.append((*row[:place], start, len(row[place]), *row[place + 1 :]))
        start += len(row[place])
    return {"rows": _keyed(names, packed), f"{name}_all": b"".join([row[place] for row in rows])}


def _keyed(names: Sequence[str], rows: Iterable[Row]) -> str:
    return _ENCODER.encode([dict(zip(names, row, strict=True)) for row in rows])
