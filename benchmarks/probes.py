"""Record what a process does for events: calls of the store, round trips to a server, transactions on a file."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import psycopg
from attrs import define, field, frozen

from unihooks._contract.event_queue import EventQueue
from unihooks.stores import PostgresStore, SQLiteStore

# Calls of a host on its own connection, and calls that take no time.
_LEFT_OUT = {"emit_on", "aemit_on", "watch", "ready", "look_seconds", "submit"}

_KINDS = {"MainThread": "main", "worker": "event loop", "call": "event loop", "store-call": "store calls"}


@frozen
class Step:
    """Something that was done (monotonic seconds), in which kind of thread, and for which events, if that is known."""

    name: str
    thread: str
    began: float
    ended: float
    events: Sequence[str] = ()


@define
class Probes:
    """What was noted in this process since they were put in."""

    steps: list[Step] = field(factory=list)
    threads: dict[int, str] = field(factory=dict)
    _inside: Any = field(factory=threading.local)

    def put_in(self) -> None:
        """Note from now on."""
        names = [name for name in vars(EventQueue) if not name.startswith("_") and name not in _LEFT_OUT]
        for owner in (SQLiteStore, PostgresStore):
            for name in names:
                setattr(owner, name, self._noting(getattr(owner, name)))
        # The driver waits once for each round trip.
        psycopg.Connection.wait = self._round_trip(psycopg.Connection.wait)  # type: ignore[method-assign] # a probe
        connect = sqlite3.connect
        sqlite3.connect = lambda *args, **options: connect(*args, factory=self._connection(), **options)  # type: ignore[assignment] # a probe

    def learn_threads(self) -> None:
        """Learn the kinds of the threads that are alive, by their ids in the kernel."""
        self.threads |= {one.native_id: _kind(one.name) for one in threading.enumerate() if one.native_id}

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def noted(*args: Any, **options: Any) -> Any:
            outer = self._verb
            self._inside.verb = outer or function.__name__
            began, result = time.monotonic(), None
            try:
                result = function(*args, **options)
                return result
            finally:
                self._inside.verb = outer
                if not outer:
                    self._note(f"call: {function.__name__}", began, _events(function.__name__, args, result))

        return noted

    def _round_trip(self, wait: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(wait)
        def noted(connection: Any, *args: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return wait(connection, *args, **options)
            finally:
                thread = threading.current_thread().name
                # A listener sends no requests; it waits for notifications.
                if "listener" not in thread:
                    self._note(f"round trip: {self._verb or _kind(thread)}", began)
                    if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                        self._note("transaction", began)

        return noted

    def _connection(self) -> type[sqlite3.Connection]:
        probes = self

        class Noted(sqlite3.Connection):
            def execute(self, statement: str, *parameters: Any) -> Any:
                began = time.monotonic()
                try:
                    return super().execute(statement, *parameters)
                finally:
                    probes._note("transaction" if statement == "COMMIT" else "statement", began)

        return Noted

    @property
    def _verb(self) -> str:
        verb: str = getattr(self._inside, "verb", "")
        return verb

    def _note(self, name: str, began: float, events: Sequence[str] = ()) -> None:
        thread = _kind(threading.current_thread().name)
        self.threads[threading.get_native_id()] = thread
        self.steps.append(Step(name, thread, began, time.monotonic(), events))


def _kind(name: str) -> str:
    """Return the name of a thread without its number, or what it does where its name does not say so."""
    short = re.sub(r"[-_ ]?\d+.*$", "", name.removeprefix("unihooks-"))
    return _KINDS.get(short, short)


def _events(verb: str, given: Sequence[Any], result: Any) -> Sequence[str]:
    """Return the ids of the events that a call was about."""
    if verb == "record":
        return [one.claimed.event_id for one in given[1]]
    if verb in {"plan", "claim"} and result is not None:
        return [one.event_id for one in getattr(result, "claimed", result)]
    return ()
