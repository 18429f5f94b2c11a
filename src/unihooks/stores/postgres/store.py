"""A store in a schema of a PostgreSQL database, which may be the host's own."""

from __future__ import annotations

import re

from unihooks._model.checks import storable
from unihooks.exceptions import StoreError
from unihooks.stores.host.emitting import ON_HOST, HostInsert, HostStore
from unihooks.stores.postgres.database import MIGRATIONS, PostgresDatabase
from unihooks.stores.postgres.errors import driver, explained_on_host, is_dsn
from unihooks.stores.postgres.transaction import NOW, STATEMENTS, Schema
from unihooks.stores.sql.planning import Planner
from unihooks.stores.sql.schema import SCHEMA_VERSION

_A_DSN = "'postgresql://user@host/name'"
_LONGEST_NAME = 63
_WITH_DRIVER = re.compile(r"\s*postgres(ql)?\+\w+:", re.IGNORECASE)
_ELSEWHERE = "the connection leads to another database than the store's; pass one to the database of its dsn"


class PostgresStore(HostStore):
    """A store in the schema `schema` of the PostgreSQL database at `dsn`.

    PostgreSQL 14 and newer. `dsn` is a libpq URI or keyword string. The tables are created and brought up to date on
    first use; with `migrate=False` an old or missing schema is a `StoreError`. Any number of processes may share the
    database; each opens up to `max_connections`, two more while it emits and one more while it runs a worker, and
    closes idle ones. An emit takes at most `emit_deadline` seconds. No connection keeps state on a pooler's server
    between transactions, so poolers in transaction mode work.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "unihooks",
        migrate: bool = True,
        max_connections: int = 8,
        emit_deadline: float = 10.0,
    ) -> None:
        driver()
        planner = Planner()
        self._postgres = PostgresDatabase(
            _checked_dsn(dsn),
            _checked_schema(schema),
            migrate=migrate,
            size=_checked_size(max_connections),
            inserted=planner.keep,
            lost=planner.forget,
        )
        texts = {name: self._postgres.schema.renamed(STATEMENTS[name].text) for name in ON_HOST}
        self._host = HostInsert("postgresql", texts, _ELSEWHERE, explained_on_host)
        super().__init__(self._postgres, planner, emit_deadline=emit_deadline)

    def __repr__(self) -> str:
        return f"PostgresStore(schema={self._postgres.schema.name!r})"

    def migration_sql(self, *, since: int = 0, until: int = SCHEMA_VERSION) -> str:
        """Return the SQL that leads a database from version `since` (0 is an empty one) to version `until`."""
        return migration_sql(self._postgres.schema.name, since=since, until=until)

    def migration_statements(self, *, since: int = 0, until: int = SCHEMA_VERSION) -> list[str]:
        """Return the same SQL as a list of statements."""
        return migration_statements(self._postgres.schema.name, since=since, until=until)


def migration_sql(schema: str = "unihooks", *, since: int = 0, until: int = SCHEMA_VERSION) -> str:
    """Return the SQL that leads from version `since` (0: an empty database) to version `until` (default: the newest).

    It is one script for your own migrations, to be run in one transaction. A migration that names `until` stays the
    same in every later release. Raises `StoreError` for a version that this release does not know.
    """
    parts = _migration(schema, since, until)
    return "\n\n".join(parts) + "\n" if parts else ""


def migration_statements(schema: str = "unihooks", *, since: int = 0, until: int = SCHEMA_VERSION) -> list[str]:
    """Return the SQL of `migration_sql` as a list, for drivers that run one statement at a time, such as asyncpg."""
    lines = "\n".join(_migration(schema, since, until)).splitlines()
    script = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement.strip() for statement in script.split(";\n") if statement.strip()]


def _migration(schema: str, since: int, until: int) -> list[str]:
    if not 0 <= since <= SCHEMA_VERSION or not 0 <= until <= SCHEMA_VERSION:
        raise StoreError(f"since and until must be versions from 0 to {SCHEMA_VERSION}", name="until")
    place = Schema(_checked_schema(schema))
    steps = MIGRATIONS.between(since, until)
    if not steps:
        return []
    parts = [f"-- {name}\n{place.renamed(MIGRATIONS.script(name)).strip()}" for name in steps]
    if since == 0:
        parts.insert(0, f"CREATE SCHEMA IF NOT EXISTS {place.quoted};")
        # Each database gets an id of its own, by which emits check that they are in the right one.
        parts.append(
            f"INSERT INTO {place.quoted}.store (store_id, schema_version, created_at)\n"
            f"VALUES ('sto_' || replace(CAST(gen_random_uuid() AS text), '-', ''), {until}, {NOW});"
        )
    else:
        parts.append(f"UPDATE {place.quoted}.store SET schema_version = {until};")  # noqa: S608 - only names
    return parts


def _checked_dsn(dsn: object) -> str:
    if not isinstance(dsn, str):
        # None, for example from a missing environment variable, would lead to the server's default database.
        raise TypeError(f"PostgresStore takes a dsn, such as {_A_DSN}, not {type(dsn).__name__}")
    if _WITH_DRIVER.match(dsn):
        raise StoreError(f"the dsn names a driver, as SQLAlchemy's do; drop that part: {_A_DSN}", name="dsn")
    if not storable(dsn) or not is_dsn(dsn):
        # Not quoted, since it may contain a password.
        raise StoreError(f"the dsn cannot be read; give one such as {_A_DSN}", name="dsn")
    return dsn


def _checked_size(max_connections: object) -> int:
    if isinstance(max_connections, int) and max_connections >= 1:
        return max_connections
    raise ValueError(f"max_connections must be a whole number from 1 up, not {max_connections!r}")


def _checked_schema(schema: object) -> str:
    if (
        not isinstance(schema, str)
        or not storable(schema)
        or not 1 <= len(schema.encode()) <= _LONGEST_NAME
        or not schema.isprintable()
        or "%" in schema
        or "unihooks." in schema
    ):
        sentence = f"schema must be a name of 1 to {_LONGEST_NAME} bytes, without %, line breaks or 'unihooks.'"
        raise StoreError(sentence, name="schema")
    return schema
