"""Open stores for measuring, and fill them with rows faster than their methods can."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from attrs import frozen
from usage import database_cpu, parent

from unihooks.abc import Store
from unihooks.stores import PostgresStore, SQLiteStore

_numbers = count(1)

_COLUMNS = """
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, state, due_at, created_at, attempt_count
"""
# The same text for both databases; i / :each is the lane, so rows are in the order of the index.
_DELIVERIES = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)
INSERT INTO {deliveries} ({columns})
SELECT '{tenant}', 'dlv_{tenant}_' || (10000000 + i), 'evt_{tenant}_' || (10000000 + i),
    'whk_{tenant}_' || (i / {each}), 'end_{tenant}_' || (i / {each}),
    'shop', 'paid', 'pending', {due} + i, {now}, {attempts}
FROM n
"""
_LANES = "UPDATE {lanes} SET next_due_at = {due} WHERE tenant = '{tenant}'"


@frozen
class Place:
    """A store of one kind, with a way to run SQL beside it."""

    kind: str
    store: Store
    prefix: str
    target: str

    @property
    def name(self) -> str:
        """Return what another process needs to open it."""
        return self.target if self.kind == "sqlite" else self.prefix[:-1]

    def load(self, tenant: str, *, rows: int, lanes: int, due: int, attempts: int = 0) -> None:
        """Insert `rows` pending deliveries, one due each microsecond from `due` on, into the tenant's lanes."""
        values: dict[str, Any] = {
            "tenant": tenant,
            "count": rows,
            "each": -(-rows // lanes),
            "due": due,
            "now": self.store.now(),
            "attempts": attempts,
            "columns": _COLUMNS,
            "deliveries": f"{self.prefix}deliveries",
            "lanes": f"{self.prefix}lanes",
        }
        statements = [_DELIVERIES.format(**values), _LANES.format(**values)] if rows else []
        self.run(*statements)

    def run(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with closing(self._connect()) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def fetch(self, statement: str) -> tuple[Any, ...]:
        """Return the first row of a query."""
        with closing(self._connect()) as connection:
            row: tuple[Any, ...] = connection.execute(statement).fetchone()
            return row

    def written(self) -> int:
        """Return how far a server's log has been written, in bytes; a file's is written by the workers themselves."""
        if self.kind == "sqlite":
            return 0
        return int(self.fetch("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")[0])

    def settle(self) -> None:
        """Make the database do now what it would soon do in the background."""
        upkeep = ["PRAGMA wal_checkpoint(TRUNCATE)"]
        if self.kind == "postgresql":
            tables = ("deliveries", "lanes", "events", "attempts")
            upkeep = [*(f"VACUUM ANALYZE {self.prefix}{table}" for table in tables), "CHECKPOINT"]
        with closing(self._connect(autocommit=True)) as connection:
            for statement in upkeep:
                connection.execute(statement)

    def _connect(self, *, autocommit: bool = False) -> Any:
        if self.kind == "sqlite":
            return sqlite3.connect(self.target)
        import psycopg

        return psycopg.connect(self.target, autocommit=autocommit)


@contextmanager
def server(kinds: list[str]) -> Iterator[str]:
    """Yield the dsn of the tests' PostgreSQL server, if one is wanted."""
    if "postgresql" not in kinds:
        yield ""
        return
    with with_helpers():
        import postgres_server

    given = os.environ.get(postgres_server.VARIABLE)
    if given:
        yield given
        return
    # The tests' own settings trade durability for speed.
    with postgres_server.serving(fsync="on", shared_buffers="256MB", max_connections="200") as started:
        yield started.dsn


@contextmanager
def with_helpers() -> Iterator[None]:
    """Let the tests' helpers be imported, which start servers."""
    folder = str(Path(__file__).parents[1] / "tests" / "helpers")
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def postmaster(dsn: str) -> int:
    """Return the id of the process that has started a server's others; 0 if they cannot be seen."""
    import psycopg

    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row
        return parent(row[0], "postgres")


def server_cpu(dsn: str) -> float:
    """Return the CPU seconds that all processes of a local server have used so far; 0 if they cannot be seen."""
    return database_cpu(postmaster(dsn)) if dsn else 0.0


@contextmanager
def place(kind: str, dsn: str) -> Iterator[Place]:
    """Yield an empty store that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder:
        name = f"{folder}/webhooks.db" if kind == "sqlite" else f"unihooks_bench_{os.getpid()}_{next(_numbers)}"
        made = visit(kind, dsn, name)
        made.store.migrate()
        try:
            yield made
        finally:
            made.store.close()
            if kind == "postgresql":
                made.run("SET client_min_messages = warning", f"DROP SCHEMA {made.prefix[:-1]} CASCADE")


def visit(kind: str, dsn: str, name: str) -> Place:
    """Return the store that another process made."""
    return _sqlite_at(name) if kind == "sqlite" else _postgres_at(dsn, name)


def _sqlite_at(path: str) -> Place:
    return Place("sqlite", SQLiteStore(path), "unihooks_", path)


def _postgres_at(dsn: str, schema: str) -> Place:
    return Place("postgresql", PostgresStore(dsn, schema=schema), f"{schema}.", dsn)
