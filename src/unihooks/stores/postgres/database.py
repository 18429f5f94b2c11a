"""Give access to a PostgreSQL database: opened on first use in each process, opened anew after a restart or fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from unihooks._base.times import Clock
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome
from unihooks.exceptions import StoreError
from unihooks.stores.postgres import schema as _postgres_schema
from unihooks.stores.postgres.emitter import Emitter
from unihooks.stores.postgres.errors import driver, explained, is_outage, is_transient
from unihooks.stores.postgres.pool import Pool
from unihooks.stores.postgres.signals import Signals
from unihooks.stores.postgres.statements import (
    BY_INDEX,
    IDLE_AT_MOST,
    NOW,
    Opening,
    Schema,
    Statements,
    fetch_sets,
    setting,
)
from unihooks.stores.postgres.time import ServerTime, steady

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

_NOW = f"SELECT {NOW}"
_KEPT = {"idle_in_transaction_session_timeout": IDLE_AT_MOST, **BY_INDEX}
_WRITE = ("BEGIN ISOLATION LEVEL READ COMMITTED", setting(_KEPT))
_WRITE_UNSYNCED = (_WRITE[0], setting(_KEPT | {"synchronous_commit": "off"}))
_READ = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
_TRIES = 5


class _Opened:
    """Hold what is open in this process."""

    def __init__(self, database: Database, dsn: str, size: int) -> None:
        self.pool = Pool(dsn, size)
        self.signals = Signals(self.pool, database.schema, database.watchers)
        self.emitter = Emitter(self.pool, database.schema, database.time, self.signals.notify)
        self.store_id: str | None = None

    def close(self) -> None:
        self.emitter.stop()
        self.signals.stop()
        self.pool.close()


class Database:
    """Run transactions on the database at `dsn`, each on a connection that nobody else uses meanwhile."""

    def __init__(self, dsn: str, schema: str, *, migrate: bool, size: int) -> None:
        self.schema = Schema(schema)
        self.time = ServerTime(self._ask_time)
        self._dsn = dsn
        self._size = size
        self._migrates = migrate
        self._lock = threading.RLock()
        self._opened: _Opened | None = None
        self.watchers: set[Callable[[], None]] = set()
        self.forked: Callable[[], Callable[[], None] | None] = lambda: None
        _databases.add(self)

    @property
    def store_id(self) -> str:
        """Return what tells this store from every other."""
        return str(self._open().store_id)

    @property
    def is_ready(self) -> bool:
        """Say whether `store_id` is known without asking the server."""
        opened = self._opened
        return opened is not None and opened.store_id is not None

    def use_clock(self, clock: Clock | None) -> None:
        """Take times from `clock`, or from the server."""
        self.time.clock = clock

    def write(self, work: Callable[[Statements], T], opening: Opening | None = None, *, synced: bool = True) -> T:
        """Run `work` in a transaction; one that deadlocked, and so did nothing, is run again.

        `opening` are statements that begin it, with their parameters: they cost no round trip of their own.
        One that is not `synced` reaches the disk with the next that is, or within a second.
        """
        opened = self._open()
        begin = _WRITE if synced else _WRITE_UNSYNCED
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._transaction(opened.pool, begin, opening) as it:
                    return work(it)
            except driver().Error as error:
                if not (tries_left and is_transient(error)):
                    raise explained(error) from error
        raise AssertionError  # pragma: no cover

    def read(self, work: Callable[[Statements], T]) -> T:
        """Run `work` in a transaction that sees one state of the database."""
        return self._reading(lambda pool: self._transaction(pool, _READ), work)

    def ask(self, work: Callable[[Statements], T]) -> T:
        """Run `work`, which is a single statement that reads."""
        return self._reading(self._alone, work)

    def emit(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        """Insert events together with what others emit at the same time; never waits."""
        while (future := self._unchecked().emitter.emit(events)) is None:
            pass
        return future

    def insert(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        """Do what `emit` does, and wait for it."""
        while (one_shot := self._unchecked().emitter.insert(events)) is None:
            pass
        outcomes: list[EmitOutcome] = one_shot.result()
        return outcomes

    def change_token(self) -> object:
        """Return a value that differs after changes elsewhere; never waits."""
        return self._unchecked().signals.token()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` in a thread whenever another process has told of a change; return what ends that."""
        self.watchers.add(changed)
        return lambda: self.watchers.discard(changed)

    def notify(self) -> None:
        """Let workers of other processes look for work; never waits."""
        self._unchecked().signals.notify()

    def migrate(self) -> list[str]:
        """Bring the schema up to date now; return the names of the steps taken."""
        try:
            with self._transaction(self._unchecked().pool, _WRITE) as it:
                return _postgres_schema.migrate(it)
        except driver().Error as error:
            raise explained(error) from error

    def close(self) -> None:
        """Finish queued events and close; the next use opens again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def after_fork_in_child(self) -> None:
        """Start afresh; what the parent has opened stays the parent's."""
        _inherited.append((self._lock, self._opened))
        self._lock = threading.RLock()
        self._opened = None
        if start_afresh := self.forked():
            start_afresh()

    def ready(self) -> None:
        """Create or check the schema, once in each process."""
        self._open()

    def _unchecked(self) -> _Opened:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                driver()
                opened = _Opened(self, self._dsn, self._size)
                opened.emitter.ready = self.ready
                self._opened = opened
            return self._opened

    def _open(self) -> _Opened:
        opened = self._unchecked()
        if opened.store_id is not None:
            return opened
        with self._lock:
            if opened.store_id is None:
                opened.store_id = self._checked(opened.pool)
        return opened

    def _checked(self, pool: Pool) -> str:
        try:
            with self._transaction(pool, _READ) as it:
                return _postgres_schema.check(it)
        except StoreError:
            if not self._migrates:
                raise
        except driver().Error as error:
            raise explained(error) from error
        self.migrate()
        return self._checked(pool)

    def _ask_time(self) -> None:
        self.ask(lambda it: self._learn(it.fetch(_NOW)[0][0], it.now))

    def _learn(self, told: int, before: int) -> None:
        self.time.learn(told, before)

    def _reading(self, lend: Callable[[Pool], Any], work: Callable[[Statements], T]) -> T:
        pool = self._open().pool
        try:
            try:
                with lend(pool) as it:
                    return work(it)
            except driver().Error as error:
                if not is_outage(error):
                    raise
                # A read may be repeated; what was idle is as old as what broke.
                pool.forget_idle()
                with lend(pool) as it:
                    return work(it)
        except driver().Error as error:
            raise explained(error) from error

    @contextmanager
    def _alone(self, pool: Pool) -> Iterator[Statements]:
        with pool.lent() as connection:
            yield Statements(connection, self.schema, steady())

    @contextmanager
    def _transaction(self, pool: Pool, begin: Sequence[str], opening: Opening | None = None) -> Iterator[Statements]:
        with self._begun(pool, begin, opening) as (connection, it):
            try:
                yield it
            except BaseException:
                _roll_back(connection)
                raise
            # The last statements may have committed.
            if connection.info.transaction_status:
                connection.execute("COMMIT")

    @contextmanager
    def _begun(
        self, pool: Pool, begin: Sequence[str], opening: Opening | None
    ) -> Iterator[tuple[psycopg.Connection[Any], Statements]]:
        """Lend a connection in a transaction; one that broke while it was idle is replaced."""
        with pool.lent() as connection:
            try:
                it = self._begin(connection, begin, opening)
            except driver().OperationalError:
                connection.close()
                pool.forget_idle()
            else:
                yield connection, it
                return
        with pool.lent() as connection:
            yield connection, self._begin(connection, begin, opening)

    def _begin(self, connection: psycopg.Connection[Any], begin: Sequence[str], opening: Opening | None) -> Statements:
        before = steady()
        # All in one message, and so in one round trip.
        (first, *settings), (statements, parameters) = begin, opening or ((), {})
        called = [self.schema.called(connection, statement) for statement in (*settings, *statements, _NOW)]
        *sets, [(told,)] = fetch_sets(connection, ";".join([first, *called]), parameters)
        rows = sets[len(sets) - len(statements) :]
        if self.time.clock is not None:
            return Statements(connection, self.schema, self.time.now(), rows)
        self.time.learn(told, before)
        return Statements(connection, self.schema, told, rows)


def _roll_back(connection: psycopg.Connection[Any]) -> None:
    try:
        if not connection.closed:
            connection.execute("ROLLBACK")
    except driver().Error:
        connection.close()


_databases: WeakSet[Database] = WeakSet()
_inherited: list[object] = []


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
