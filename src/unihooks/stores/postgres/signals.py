"""Wake the workers of other processes, and be woken: a hint by NOTIFY, with polling underneath."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from unihooks.exceptions import StoreError
from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.pool import Pool
from unihooks.stores.postgres.prepared import is_direct
from unihooks.stores.postgres.transaction import Schema

# Hosts commit emits of their own without a NOTIFY, so even a listener looks now and then.
_POLL_LISTENING = 0.25
_POLL_DEAF = 0.1
_LISTEN_SECONDS = 0.5
_CONNECT_AGAIN_SECONDS = 2.0
_LOOK_FOR_POOLER_SECONDS = 60.0
_BETWEEN_NOTIFIES = 0.005
_WORKER_FIRST = 0.004
_STOP_SECONDS = 2.0


class Signals:
    """Listen on one connection of its own, and notify on those of the pool, each in a thread of its own."""

    def __init__(self, pool: Pool, schema: Schema, watchers: Collection[Callable[[], None]]) -> None:
        self._pool = pool
        self._watchers = watchers
        self._own: set[int] = set()
        # One channel per schema; its name has no quotes and is short enough whatever the schema's is.
        self._channel = f"unihooks_{hashlib.sha256(schema.name.encode()).hexdigest()[:16]}"
        self._lock = threading.Lock()
        self._heard = 0
        self._listening = False
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    def token(self) -> object:
        """Return what differs when something was heard, and now and then without."""
        self._ensure("listener", self._listen)
        return self._heard, int(time.monotonic() / (_POLL_LISTENING if self._listening else _POLL_DEAF))

    def notify(self) -> None:
        """Let others look, soon and in a transaction of its own; calls at the same time become one."""
        if not self._due.is_set():
            self._due.set()
            self._ensure("notifier", self._notify)

    def stop(self) -> None:
        """End the threads; what is still to be told is told, which ends the listener's waiting, too."""
        if "listener" in self._threads:
            self._ensure("notifier", self._notify)
        self._stopping.set()
        self._due.set()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            if thread is not threading.current_thread():
                # It may be waiting for a server that does not answer.
                thread.join(_STOP_SECONDS)

    def _ensure(self, name: str, target: Any) -> None:
        if name in self._threads:
            return
        with self._lock:
            if name not in self._threads and not self._stopping.is_set():
                thread = threading.Thread(target=target, name=f"unihooks-postgres-{name}", daemon=True)
                self._threads[name] = thread
                thread.start()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            again = _CONNECT_AGAIN_SECONDS
            with suppress(driver().Error, StoreError, OSError):
                again = self._listen_once()
            self._listening = False
            # What was said meanwhile was not heard.
            self._heard += 1
            self._stopping.wait(again)

    def _listen_once(self) -> float:
        with self._pool.connect() as connection:
            if not is_direct(connection):
                # Heard would be others that the server's connection is lent to next, the host's among them.
                return _LOOK_FOR_POOLER_SECONDS
            connection.execute(f"LISTEN {self._channel}".encode())
            self._heard += 1
            self._listening = True
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                    self._heard += 1
                    if notice.pid not in self._own:
                        # What this process has told of, its workers know.
                        for changed in tuple(self._watchers):
                            changed()
            return _CONNECT_AGAIN_SECONDS

    def _notify(self) -> None:
        # Nobody waits for these, so they need not reach the disk.
        statement = f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {self._channel}; COMMIT"
        while True:
            self._due.wait()
            if self._listening:
                # A worker of this process has been told already; it comes first.
                self._stopping.wait(_WORKER_FIRST)
            self._due.clear()
            with suppress(driver().Error, StoreError), self._pool.lent() as connection:
                self._own.add(connection.info.backend_pid)
                connection.execute(statement.encode())
            if self._stopping.wait(_BETWEEN_NOTIFIES):
                return
