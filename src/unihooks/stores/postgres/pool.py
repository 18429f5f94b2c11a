"""Keep a few connections to PostgreSQL open, and replace those that broke."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unihooks.exceptions import StoreError
from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.prepared import note_direct

if TYPE_CHECKING:
    from psycopg import Connection

_CONNECT_SECONDS = 10
# A server that vanished without a word is noticed within a minute rather than hours.
_NOTICE_A_DEAD_SERVER = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 40_000,
}
_PATIENCE_SECONDS = 30.0
_ENCODING = "UTF8"


class Pool:
    """Lend connections to threads, at most `size` at a time."""

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        self._room = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Connection[Any]] = []
        self._closed = False

    def connect(self) -> Connection[Any]:
        """Open a connection outside the pool's count; it keeps no state on the server."""
        psycopg = driver()
        given = psycopg.conninfo.conninfo_to_dict(self._dsn)
        given.setdefault("connect_timeout", _CONNECT_SECONDS)
        given.setdefault("application_name", "unihooks")
        for name, seconds in _NOTICE_A_DEAD_SERVER.items():
            given.setdefault(name, seconds)
        connection: Connection[Any] = psycopg.connect(
            **given, client_encoding="utf8", autocommit=True, prepare_threshold=None
        )
        connection.add_notice_handler(lambda _: None)
        try:
            _check_encoding(connection)
            if not is_pooled(connection):
                note_direct(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def lent(self) -> Iterator[Connection[Any]]:
        """Lend a connection; it goes back unless it broke or is left within a transaction."""
        if not self._room.acquire(timeout=_PATIENCE_SECONDS):
            raise StoreError("all connections stayed busy; raise max_connections", name="max_connections")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._room.release()

    def forget_idle(self) -> None:
        """Close what waits to be lent, as after the server went away."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self._closed = True
        self.forget_idle()

    def _take(self) -> Connection[Any]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.connect()

    def _give_back(self, connection: Connection[Any]) -> None:
        if not connection.closed and connection.info.transaction_status == 0:
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    return
        connection.close()


def _check_encoding(connection: Connection[Any]) -> None:
    encoding = connection.info.parameter_status("server_encoding") or _ENCODING
    if encoding != _ENCODING:
        sentence = (
            f"the database's encoding is {encoding}, which cannot hold every text; create it with ENCODING 'UTF8'"
        )
        raise StoreError(sentence, name="dsn")


def is_pooled(connection: Connection[Any]) -> bool:
    """Say whether a pooler stands in for the server: it cannot know which of the server's processes will serve."""
    [(process,)] = connection.execute(b"SELECT pg_backend_pid()").fetchall()
    return bool(process != connection.info.backend_pid)
