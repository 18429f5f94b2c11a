"""Keep a few connections to PostgreSQL open, replace those that broke, and give back those that nobody needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from unihooks._base.queue_thread import Patience
from unihooks.exceptions import StoreError

if TYPE_CHECKING:
    from unihooks.stores.postgres.connections import Connection

_PATIENCE_SECONDS = 30.0
# How long a connection waits for its next use before it is closed, but for one that stays.
REST_SECONDS = 30.0


class Pool:
    """Connections that are lent to threads, at most `size` at a time, each for no longer than the thread's patience.

    Those that rest are closed by who comes next, but for one.
    """

    def __init__(self, dsn: str, size: int, patience: Patience) -> None:
        self._dsn = dsn
        self._patience = patience
        # No locks: a finaliser that interrupts who holds one, and needs it, would wait without end.
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._places.put(None)
        self._borrower = _Borrower()
        self._idle: list[Connection] = []
        self._closed = False

    @property
    def place(self) -> str:
        """The server's hosts and ports."""
        from unihooks.stores.postgres.connections import place

        return place(self._dsn)

    def connect(self) -> Connection:
        """Open a connection outside the pool's count."""
        # The driver is an extra.
        from unihooks.stores.postgres.connections import connect

        return connect(self._dsn, self._patience.ends_at)

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend a connection; it is returned unless it broke or was left within a transaction."""
        # A finaliser or signal handler that interrupts a borrower in its own thread must not wait for it.
        interrupts = self._borrower.has_one
        places: list[None] = []
        try:
            self._enter(places, 0 if interrupts else self._patience.seconds(_PATIENCE_SECONDS))
            self._borrower.has_one = True
            connection = self.take()
            connection.ends_at = self._patience.ends_at
            try:
                yield connection
            finally:
                self.give_back(connection)
        finally:
            if not interrupts:
                self._borrower.has_one = False
            for place in places:
                self._places.put(place)

    def take(self) -> Connection:
        """Take an idle connection, or open one; it belongs to the caller until it is given back."""
        with suppress(IndexError):
            return self._idle.pop()
        return self.connect()

    def give_back(self, connection: Connection, *, as_spare: bool = False) -> None:
        """Keep a connection idle, unless it broke, is within a transaction, or is a spare and another one is idle."""
        if connection.closed or connection.info.transaction_status or (as_spare and self._idle):
            connection.close()
        else:
            connection.ends_at, connection.rests_since = inf, monotonic()
            self._idle.append(connection)
        if self._closed:
            self.forget_idle()
        elif len(self._idle) > 1:
            self._close_rested(monotonic() - REST_SECONDS)

    def forget_idle(self) -> None:
        """Close all idle connections, for example after the server went away."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Close the idle connections now, and the others when they come back."""
        self._closed = True
        self.forget_idle()

    def _enter(self, places: list[None], seconds: float) -> None:
        try:
            # One step of the interpreter, so that a signal handler that raises cannot lose the place.
            places += map(self._places.get, [True], [seconds])
        except Empty:
            sentence = "all connections stayed busy; raise max_connections"
            raise StoreError(sentence, name="max_connections") from None

    def _close_rested(self, before: float) -> None:
        # The first one has been idle longest, unless others take and give back meanwhile.
        with suppress(IndexError):
            while len(self._idle) > 1 and self._idle[0].rests_since < before:
                connection = self._idle.pop(0)
                if connection.rests_since >= before:
                    self._idle.append(connection)
                    return
                connection.close()


class _Borrower(threading.local):
    """A thread's note whether it has a connection."""

    has_one = False
