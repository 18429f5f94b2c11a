"""Keep a few connections to PostgreSQL open, and replace those that broke."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
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
    """Connections that are lent to threads, at most `size` at a time."""

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        # No locks: a finaliser that interrupts who holds one, and needs it, would wait without end.
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._places.put(None)
        self._borrower = _Borrower()
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
        # Who interrupts a borrower of this very thread must not wait for it.
        seconds = 0 if self._borrower.has_one else _PATIENCE_SECONDS
        places: list[None] = []
        try:
            self._enter(places, seconds)
            self._borrower.has_one = True
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            if seconds:
                self._borrower.has_one = False
            for place in places:
                self._places.put(place)

    def forget_idle(self) -> None:
        """Close what waits to be lent, as after the server went away."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self._closed = True
        self.forget_idle()

    def _enter(self, places: list[None], seconds: float) -> None:
        try:
            # One step of the interpreter, so that a signal handler that raises cannot lose the place.
            places += map(self._places.get, [True], [seconds])
        except Empty:
            sentence = "all connections stayed busy; raise max_connections"
            raise StoreError(sentence, name="max_connections") from None

    def _take(self) -> Connection[Any]:
        with suppress(IndexError):
            return self._idle.pop()
        return self.connect()

    def _give_back(self, connection: Connection[Any]) -> None:
        if connection.closed or connection.info.transaction_status:
            connection.close()
            return
        self._idle.append(connection)
        if self._closed:
            self.forget_idle()


class _Borrower(threading.local):
    """Whether this thread has a connection."""

    has_one = False


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
