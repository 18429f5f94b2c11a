"""PostgreSQL schemas that have all tables and no rows: emptying one costs much less than creating it anew."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from unihooks.stores import PostgresStore
from unihooks.stores.sql.schema import SCHEMA_VERSION
from unihooks.testing import FakeClock

_numbers = count(1)

# Every change of a table, an index or a right rewrites a row of these catalogs.
_SHAPE = """
SELECT
    (SELECT xmin::text FROM pg_namespace WHERE oid = here),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = here),
    (SELECT sum(a.xmin::text::bigint) FROM pg_attribute AS a JOIN pg_class AS c ON attrelid = c.oid
        WHERE relnamespace = here),
    (SELECT sum(xmin::text::bigint) FROM pg_class WHERE relnamespace = here),
    (SELECT count(*) FROM pg_class WHERE relnamespace = here)
FROM to_regnamespace(%s) AS here
"""
# Statistics of an analyzed table would mislead the query plans of the next test, since its rows are gone.
_TABLES = """
SELECT relname, reltuples >= 0 FROM pg_class
WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND pg_relation_size(oid) > 0
"""
_IS_USED = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND xact_start < %s)"
_EMPTY = SQL(
    "TRUNCATE {}; INSERT INTO {} (store_id, schema_version, created_at) VALUES ('sto_' || gen_random_uuid(), {}, 0)"
)


class Schemas:
    """The schemas of one database that tests use one after the other."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._empty: list[str] = []
        self._used: deque[tuple[str, Any]] = deque()
        self._shapes: dict[str, Any] = {}

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a schema without rows."""
        name = self._empty.pop() if self._empty else self._new()
        try:
            yield name
        finally:
            with psycopg.connect(self._dsn, autocommit=True) as admin:
                [now] = admin.execute("SELECT clock_timestamp()").fetchone() or [None]
                # Leftovers of a test may still write for a moment, so its schema rests until the next test is over.
                if self._used:
                    self._give_back(admin, *self._used.popleft())
                self._used.append((name, now))

    def close(self) -> None:
        """Drop them all."""
        with psycopg.connect(self._dsn, autocommit=True) as admin:
            for name in self._shapes:
                drop(admin, name)

    def _new(self) -> str:
        name = f"unihooks_ready_{os.getpid()}_{next(_numbers)}"
        store = PostgresStore(self._dsn, schema=name)
        # With the server's own clock it would create tables for the next days.
        store.use_clock(FakeClock())
        store.migrate()
        store.close()
        with psycopg.connect(self._dsn, autocommit=True) as admin:
            self._shapes[name] = admin.execute(_SHAPE, [name]).fetchone()
        return name

    def _give_back(self, admin: psycopg.Connection, name: str, since: Any) -> None:
        [is_used] = admin.execute(_IS_USED, [since]).fetchone() or [True]
        tables = admin.execute(_TABLES, [name]).fetchall()
        is_same = admin.execute(_SHAPE, [name]).fetchone() == self._shapes[name]
        if is_used or not is_same or any(is_analyzed for _, is_analyzed in tables):
            del self._shapes[name]
            drop(admin, name)
        else:
            admin.execute(_emptying(name, [table for table, _ in tables]))
            self._shapes[name] = admin.execute(_SHAPE, [name]).fetchone()
            self._empty.append(name)


def drop(admin: psycopg.Connection, name: str) -> None:
    """Remove a schema and everything in it."""
    admin.execute("SET client_min_messages = warning")
    admin.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))


def _emptying(name: str, tables: list[str]) -> Composed:
    # Rows deleted one by one would still be scanned.
    all_tables = SQL(", ").join(Identifier(name, table) for table in {*tables, "store"})
    return _EMPTY.format(all_tables, Identifier(name, "store"), SCHEMA_VERSION)
