"""Databases on a connection of Django's, for tests that leave no other way.

A `TestCase` keeps one transaction open for a whole test, and an SQLite database in memory is visible to a single
connection. The store's work joins the transaction, and is rolled back with it.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from attrs import asdict

from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome
from unihooks.exceptions import IdempotencyConflict, LimitReached, StoreError
from unihooks.stores.postgres.database import MIGRATIONS as POSTGRES_MIGRATIONS
from unihooks.stores.postgres.errors import driver
from unihooks.stores.postgres.errors import explained as explained_by_postgres
from unihooks.stores.postgres.time import ServerClock, steady
from unihooks.stores.postgres.transaction import PostgresTransaction, Schema
from unihooks.stores.sql.emitting import stored_event
from unihooks.stores.sql.quotas import refuse_any
from unihooks.stores.sql.schema import Migrations, Place, check, migrate, version_of
from unihooks.stores.sql.transaction import Call, Database, Outcome, Row, StoreClock, Submission, Transaction
from unihooks.stores.sqlite.database import MIGRATIONS as SQLITE_MIGRATIONS
from unihooks.stores.sqlite.errors import explaining
from unihooks.stores.sqlite.transaction import SQLiteTransaction

T = TypeVar("T")

_RELEASE = "RELEASE SAVEPOINT unihooks"
# How to begin, end and undo a part of a transaction, or a transaction of its own.
_PART = ("SAVEPOINT unihooks", _RELEASE, "ROLLBACK TO SAVEPOINT unihooks", _RELEASE)
_WHOLE = ("BEGIN", "COMMIT", "ROLLBACK")


class OnConnection(Database):
    """A database whose transactions are parts of the connection's own transaction, one at a time.

    `lend` returns the driver's open connection. `lost` is called when what is cached may have been rolled back.
    """

    migrations: Migrations
    place: Place

    def __init__(self, lend: Callable[[], Any], *, migrates: bool, lost: Callable[[], None]) -> None:
        super().__init__()
        self._lend = lend
        self._migrates = migrates
        self._lost = lost
        self._turns: dict[int, AbstractContextManager[Any]] = {}

    @property
    def store_id(self) -> str:
        return self.write(lambda tx: str(tx.fetch("store_id")[0][0]))

    @property
    def opened_id(self) -> str:
        # There is nothing to open: the database is in memory, or only the test uses it.
        return self.store_id

    def write(self, work: Callable[[Transaction], T], opening: Sequence[Call] = (), *, synced: bool = True) -> T:  # noqa: ARG002 - nothing reaches the disk before Django commits
        with self._turn:
            self._lost()
            with self._within(self._lend()) as tx:
                if self._migrates and not version_of(tx, self.place):
                    migrate(tx, self.migrations, self.place)
                check(tx, self.place)
                tx.opening = tx.pipeline(*opening)
                return work(tx)

    def read(self, work: Callable[[Transaction], T]) -> T:
        return self.write(work)

    def emit(self, submission: Submission) -> None:
        try:
            outcomes = [self._insert(event, submission.per_minute) for event in submission.events]
            submission.waiter.set_result(outcomes)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiting caller must get it
            submission.waiter.set_exception(error)
        else:
            self.emitted()

    def migrate(self) -> list[str]:
        with self._turn, self._within(self._lend()) as tx:
            return migrate(tx, self.migrations, self.place)

    def close(self) -> None:
        """Leave the connection to Django."""

    @property
    def _turn(self) -> AbstractContextManager[Any]:
        # A forked child could wait forever for a lock held during the fork.
        return self._turns.setdefault(os.getpid(), threading.RLock())

    def _insert(self, event: NewEvent, per_minute: int | None) -> EmitOutcome:
        def work(tx: Transaction) -> EmitOutcome:
            refuse_any(tx, [event], per_minute)
            given = {"created_at": self.time.for_host(event.created_at), "store_id": tx.fetch("store_id")[0][0]}
            name = "add_event_on_host" if event.idempotency_key is None else "add_event_on_host_once"
            return stored_event(event, tx.fetch(name, **(asdict(event) | given))[0])

        try:
            return self.write(work)
        except (IdempotencyConflict, LimitReached, StoreError) as refused:
            return refused

    @abstractmethod
    def _within(self, connection: Any) -> AbstractContextManager[Transaction]:
        """Yield a transaction within that of the connection, or one of its own; an error undoes only this one."""


class SQLiteOnConnection(OnConnection):
    """An SQLite database on a connection of Python's own driver."""

    migrations = SQLITE_MIGRATIONS
    place = Place("the database of Django's test", "path")

    def __init__(self, lend: Callable[[], Any], *, migrates: bool, lost: Callable[[], None]) -> None:
        super().__init__(lend, migrates=migrates, lost=lost)
        self.time = StoreClock()

    @contextmanager
    def _within(self, connection: Any) -> Iterator[Transaction]:
        steps = _PART if connection.in_transaction else _WHOLE
        with explaining("of Django's test"), _between(connection.execute, *steps):
            yield SQLiteTransaction(connection, self.time.now)


class PostgresOnConnection(OnConnection):
    """A schema of a PostgreSQL database on a connection of psycopg 3."""

    migrations = POSTGRES_MIGRATIONS

    def __init__(self, lend: Callable[[], Any], *, schema: str, migrates: bool, lost: Callable[[], None]) -> None:
        super().__init__(lend, migrates=migrates, lost=lost)
        self.schema = Schema(schema)
        self.place = Place(f"the schema {self.schema.quoted}", "schema")
        self.time: ServerClock = ServerClock(self._ask_time)

    @contextmanager
    def _within(self, connection: Any) -> Iterator[Transaction]:
        # Within Django's `atomic` the driver begins the transaction by itself, with the first statement.
        alone = connection.autocommit and not connection.info.transaction_status
        try:
            with _between(lambda text: connection.execute(text.encode()), *(_WHOLE if alone else _PART)):
                tx = _PostgresTransaction(connection, self.schema, 0, own_times=self.time.clock is not None)
                tx.now = tx.time() if self.time.clock is None else self.time.now()
                yield tx
        except driver().Error as error:
            raise explained_by_postgres(error) from error

    def _ask_time(self) -> None:
        before = steady()
        self.time.learn(self.write(lambda tx: tx.time()), before)


class _PostgresTransaction(PostgresTransaction):
    """A transaction that never commits by itself."""

    def pipeline(self, *calls: Call, commit: bool = False) -> list[Outcome]:  # noqa: ARG002
        return super().pipeline(*calls)

    def _fetch(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        # Django's own cursors do not support binary results.
        with driver().Cursor(self._connection) as cursor:
            cursor.format = driver().pq.Format.BINARY
            rows: list[Row] = cursor.execute(text.encode(), parameters or None, prepare=False).fetchall()
            return rows


@contextmanager
def _between(execute: Callable[[str], object], begin: str, end: str, *undo: str) -> Iterator[None]:
    execute(begin)
    try:
        yield
    except BaseException:
        for step in undo:
            execute(step)
        raise
    execute(end)
