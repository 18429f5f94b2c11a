"""The databases of the crash tests, and a host's own transactions there."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from attrs import define, frozen

from unihooks.abc import Store
from unihooks.stores import PostgresStore, SQLiteStore

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import postgres_server
from proxy import Proxy

ERRORS = (sqlite3.OperationalError, psycopg.Error)


@frozen
class Database:
    """A database: an SQLite file, or a schema of a PostgreSQL server that has a dsn."""

    address: str
    schema: str = ""

    def store(self) -> Store:
        """Return a new store there."""
        return PostgresStore(self.address, schema=self.schema) if self.schema else SQLiteStore(self.address)

    def connect(self) -> Any:
        """Return a connection of a host's own, which commits by itself."""
        if self.schema:
            return psycopg.connect(self.address, autocommit=True)
        return sqlite3.connect(self.address, isolation_level=None, timeout=10)

    def make_orders(self) -> None:
        """Make a table of the host's own."""
        with closing(self.connect()) as connection:
            connection.execute(f"CREATE TABLE {self._orders} (nonce TEXT PRIMARY KEY)")

    def orders(self) -> set[str]:
        """Return its rows."""
        with closing(self.connect()) as connection:
            return {nonce for (nonce,) in connection.execute(f"SELECT nonce FROM {self._orders}")}

    def order(self, connection: Any, nonce: str, emit: Callable[[Any], str]) -> str:
        """Insert a row and emit in one transaction; the caller closes the connection if that fails."""
        connection.execute("BEGIN" if self.schema else "BEGIN IMMEDIATE")
        connection.execute(f"INSERT INTO {self._orders} VALUES ({'%s' if self.schema else '?'})", (nonce,))
        emitted = emit(connection)
        connection.execute("COMMIT")
        return emitted

    def is_locked(self) -> bool:
        """Return whether a process keeps the lock of an SQLite file for longer than a transaction takes."""
        if self.schema:
            return False
        with closing(sqlite3.connect(self.address, isolation_level=None, timeout=0.3)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return True
        return False

    @property
    def _orders(self) -> str:
        return f"{self.schema}_orders" if self.schema else "host_orders"


@define
class Server:
    """A PostgreSQL server that crashes and loses its connections when asked to."""

    server: postgres_server.Server
    proxy: Proxy

    @property
    def address(self) -> str:
        """The dsn that leads through the proxy."""
        return str(psycopg.conninfo.make_conninfo(self.server.dsn, port=self.proxy.port))

    def restart(self) -> None:
        """Crash and come back."""
        self.server.restart()

    def cut(self) -> None:
        """Reset all connections."""
        self.proxy.reset()


@contextmanager
def serving() -> Iterator[Server]:
    """Start a PostgreSQL server that keeps what it has committed."""
    with postgres_server.serving(fsync="on", max_connections="200") as server:
        given = psycopg.conninfo.conninfo_to_dict(server.dsn)
        with Proxy(given["host"], given["port"]) as proxy:
            yield Server(server, proxy)
