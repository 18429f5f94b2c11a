"""Wake a worker of another process, or be woken by one: hints by NOTIFY, with polling as the fallback."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Collection
from contextlib import suppress
from enum import Enum, auto
from queue import SimpleQueue
from selectors import EVENT_READ, DefaultSelector
from time import monotonic

from unihooks.abc import Watcher
from unihooks.exceptions import StoreError
from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.pool import Pool
from unihooks.stores.postgres.prepared import is_direct
from unihooks.stores.postgres.transaction import Schema

# Hosts commit their own emits without a NOTIFY, so even a listener looks now and then. The longest pause differs
# between processes, so that many workers do not look at the same moments.
_LOOKS_SHARED = (0.01, random.uniform(0.8, 1.0))  # noqa: S311 - nobody gains from guessing it
_LOOKS_DEAF = (0.01, 0.25)
_LISTEN_SECONDS = 5.0
_CONNECT_AGAIN_SECONDS = 2.0
_LOOK_FOR_POOLER_SECONDS = 60.0
_BETWEEN_NOTIFIES = 0.005
_WORKER_FIRST = 0.004
_STOP_SECONDS = 1.0


class Hearing(Enum):
    """The notifications of other processes' events that a process gets."""

    NOTHING = auto()
    """None: there is no connection yet, or a pooler is in between."""
    ALL = auto()
    """Every NOTIFY: it listens for all workers of the schema."""
    RELIEVED = auto()
    """None, since another process listens."""


class Signals:
    """A listener on its own connection and a notifier on those of the pool, each in its own thread.

    A NOTIFY wakes all listeners, and all but one would find nothing left to do. So of all processes with a worker only
    one listens: the one whose listener holds a lock, which the server frees when that connection ends.
    """

    def __init__(self, pool: Pool, schema: Schema, watchers: Collection[Watcher]) -> None:
        self._pool = pool
        self._watchers = watchers
        self._own: set[int] = set()
        # One channel per schema; its name has no quotes and is short enough whatever the schema's is.
        self._channel = f"unihooks_{hashlib.sha256(schema.name.encode()).hexdigest()[:16]}"
        self._become_listener = schema.text("become_listener").encode(), {"schema": schema.name}
        self._heard = 0
        self._hearing = Hearing.NOTHING
        self._vacant = threading.Event()
        self._is_due = False
        self._due: SimpleQueue[None] = SimpleQueue()
        self._stopping = threading.Event()
        self._threads = {
            "listener": threading.Thread(target=self._listen, name="unihooks-postgres-listener", daemon=True),
            "notifier": threading.Thread(target=self._notify, name="unihooks-postgres-notifier", daemon=True),
        }
        self._unstarted = list(self._threads)

    def look_seconds(self) -> tuple[float, float]:
        """Return how long a worker may rest between looks. Only workers ask, so start listening."""
        self._ensure("listener")
        return _LOOKS_DEAF if self._hearing is Hearing.NOTHING else _LOOKS_SHARED

    @property
    def is_listening(self) -> bool:
        """Whether this process is notified of what others emit."""
        return self._hearing is Hearing.ALL

    @property
    def is_relieved(self) -> bool:
        """Whether another process listens, as far as is known."""
        return self._hearing is Hearing.RELIEVED

    def listen(self) -> None:
        """Note that no process listens any more, so that this one may take over."""
        self._vacant.set()

    def notify(self) -> None:
        """Let the listening process look, soon and in a transaction of its own; simultaneous calls become one."""
        if self.is_listening:
            # This process is the only listener, and it knows already.
            return
        if not self._is_due:
            self._is_due = True
            self._due.put(None)
        self._ensure("notifier")

    def stop(self) -> None:
        """End the threads; a pending notification is still sent, which also ends the listener's waiting."""
        if "listener" not in self._unstarted:
            self._ensure("notifier")
        self._unstarted.clear()
        self._stopping.set()
        self._vacant.set()
        self._due.put(None)
        until = monotonic() + _STOP_SECONDS
        for thread in self._threads.values():
            # It may be waiting for a server that does not respond; an interrupted start is not waited for either.
            with suppress(RuntimeError):
                thread.join(max(0.0, until - monotonic()))

    def _ensure(self, name: str) -> None:
        # No lock, which a finaliser might find held by the code it interrupts: whoever removes the name starts the
        # thread.
        if name in self._unstarted:
            with suppress(ValueError, RuntimeError):
                self._unstarted.remove(name)
                self._threads[name].start()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            again: float | None = _CONNECT_AGAIN_SECONDS
            self._vacant.clear()
            try:
                again = self._listen_once()
            except (driver().Error, StoreError, OSError):
                self._hearing = Hearing.NOTHING
            # Notifications in the meantime were missed.
            self._heard += 1
            if not self._stopping.is_set():
                self._vacant.wait(again)

    def _listen_once(self) -> float | None:
        """Listen until the connection breaks; if that is impossible now, return the seconds until the next try."""
        with self._pool.connect() as connection:
            if not is_direct(connection):
                # LISTEN behind a pooler would catch notifications meant for the connection's next borrower, such as the
                # host.
                self._hearing = Hearing.NOTHING
                return _LOOK_FOR_POOLER_SECONDS
            [(is_mine,)] = connection.execute(*self._become_listener).fetchall()
            if not is_mine:
                # The look for work notices when the lock becomes free.
                self._hearing = Hearing.RELIEVED
                return None
            connection.execute(f"LISTEN {self._channel}".encode())
            self._heard += 1
            self._hearing = Hearing.ALL
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=0):
                    self._hear(notice.pid)
                # The driver's own wait would wake up ten times a second.
                with DefaultSelector() as selector:
                    selector.register(connection, EVENT_READ)
                    selector.select(_LISTEN_SECONDS)
            return _CONNECT_AGAIN_SECONDS

    def _hear(self, pid: int) -> None:
        self._heard += 1
        if pid not in self._own:
            # This process's workers already know what it has announced.
            for watcher in tuple(self._watchers):
                watcher.changed()

    def _notify(self) -> None:
        # Notifications need not be durable, so they do not wait for the disk.
        statement = f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {self._channel}; COMMIT"
        while True:
            self._due.get()
            if self._hearing is not Hearing.NOTHING:
                # A worker of this process has already been told, and takes precedence.
                self._stopping.wait(_WORKER_FIRST)
            self._is_due = False
            with suppress(driver().Error, StoreError), self._pool.lent() as connection:
                self._own.add(connection.info.backend_pid)
                connection.execute(statement.encode())
            if self._stopping.wait(_BETWEEN_NOTIFIES):
                return
