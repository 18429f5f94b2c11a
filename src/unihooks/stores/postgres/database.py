"""A PostgreSQL database: opened on first use in each process, and again after a restart or a fork."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.resources import files
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from unihooks._base.per_process import PerProcess, inside
from unihooks._contract.planning import NewEvent
from unihooks.exceptions import StoreError
from unihooks.stores.postgres.days import Days, make_first_days
from unihooks.stores.postgres.emitter import Emitter
from unihooks.stores.postgres.errors import driver, explained, is_outage, is_read_only, is_transient
from unihooks.stores.postgres.pool import Pool
from unihooks.stores.postgres.prepared import called
from unihooks.stores.postgres.signals import Signals
from unihooks.stores.postgres.time import ServerClock, steady
from unihooks.stores.postgres.transaction import DIALECT, NOW, PostgresTransaction, Schema
from unihooks.stores.sql.schema import Migrations, Place, check, migrate
from unihooks.stores.sql.transaction import Call, Database, Outcome, Submission, Transaction

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

# A process that is frozen in a transaction, or has vanished, must not hold its locks for long.
IDLE_AT_MOST = "5s"
# Statistics lag behind a queue and mislead the planner, although each of our statements has an index made for it. A
# cached plan would stay wrong for longer.
_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def _setting(settings: Mapping[str, str]) -> str:
    """Return the statement that applies settings until the transaction ends."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


_NOW = f"SELECT {NOW}"
_KEPT = {"idle_in_transaction_session_timeout": IDLE_AT_MOST, **_BY_INDEX}
_WRITE = ("BEGIN ISOLATION LEVEL READ COMMITTED", _setting(_KEPT))
_WRITE_UNSYNCED = (_WRITE[0], _setting(_KEPT | {"synchronous_commit": "off"}))
# A page of rows is read by its indexes long before processes for a parallel plan have started.
_READ = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", _setting({"parallel_setup_cost": "100000"}))

MIGRATIONS = Migrations(files("unihooks.stores.postgres") / "migrations", DIALECT)
_TRIES = 5
_ASK_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
_EXPECTING_SECONDS = 5.0


class _Opened:
    """The pool and the threads that this process has open."""

    def __init__(self, database: PostgresDatabase, dsn: str, size: int) -> None:
        self.pool = Pool(dsn, size, database.patience)
        self.signals = Signals(self.pool, database.schema, database.watchers)
        self.emitter = Emitter(
            self.pool,
            database.schema,
            database.time,
            ready=lambda: database.check_soon(self),
            inserted=database.inserted,
            emitted=lambda: database.emitted(self.signals),
        )
        self.days = Days(partial(database.write_on, self.pool))
        self.store_id: str | None = None
        self.checking = threading.RLock()

    def close(self) -> None:
        self.emitter.stop()
        self.signals.stop()
        self.pool.close()


class PostgresDatabase(Database):
    """The database at `dsn`; each transaction has a connection to itself.

    `inserted` is called with committed events; `lost` when the database is opened, since what is cached may be
    outdated, for example after a fork.
    """

    has_round_trips = True
    # The workers of all processes that are alive share the lanes.
    heartbeat_seconds = 10.0
    hour_parts = 16
    divides_lanes = True

    def __init__(
        self,
        dsn: str,
        schema: str,
        *,
        migrate: bool,
        size: int,
        inserted: Callable[[Sequence[NewEvent]], None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__()
        self.schema = Schema(schema)
        self._place = Place(f"the schema {self.schema.quoted}", "schema")
        self.time: ServerClock = ServerClock(self._ask_time)
        self._dsn = dsn
        self._size = size
        self._migrates = migrate
        self._process = PerProcess(self._start)
        self.inserted = inserted
        self._lost = lost
        self._expecting_until = 0.0

    @property
    def store_id(self) -> str:
        return str(self._open().store_id)

    @property
    def opened_id(self) -> str | None:
        opened = self._process.opened
        return None if opened is None else opened.store_id

    def write(self, work: Callable[[Transaction], T], opening: Sequence[Call] = (), *, synced: bool = True) -> T:
        return self.write_on(self._open().pool, work, opening, synced=synced)

    def write_on(
        self, pool: Pool, work: Callable[[Transaction], T], opening: Sequence[Call] = (), *, synced: bool = True
    ) -> T:
        """Run `work` in a transaction, without checking the schema."""
        # A transaction that deadlocked has changed nothing, so it is run again.
        begin = _WRITE if synced else _WRITE_UNSYNCED
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._transaction(pool, begin, opening) as tx:
                    return work(tx)
            except driver().Error as error:
                if not (tries_left and is_transient(error)):
                    raise explained(error) from error
        raise AssertionError  # pragma: no cover

    def at_once(self, calls: Sequence[Call], *, synced: bool = True) -> list[Outcome] | None:
        begin = _WRITE if synced else _WRITE_UNSYNCED
        with suppress(driver().Error), self._open().pool.lent() as connection:
            try:
                tx = PostgresTransaction(connection, self.schema, 0)
                return tx.between(_begun(connection, begin), calls, ["COMMIT"])[:-1]
            except BaseException:
                with suppress(driver().Error):
                    connection.execute("ROLLBACK")
                raise
        return None

    def read(self, work: Callable[[Transaction], T]) -> T:
        return self._reading(lambda pool: self._transaction(pool, _READ), work)

    def ask(self, work: Callable[[Transaction], T]) -> T:
        return self._reading(self._alone, work)

    def emit(self, submission: Submission) -> None:
        while not (opened := self._unchecked()).emitter.emit(submission):
            self._process.close(opened)

    def look_seconds(self) -> tuple[float, float]:
        return self._unchecked().signals.look_seconds()

    def emitted(self, signals: Signals | None = None) -> None:
        if not self.watchers:
            # The connections of the inserting thread: its pool may have been closed, and must not open another one.
            (signals or self._unchecked().signals).notify()
        super().emitted()

    def notify(self) -> None:
        self._unchecked().signals.notify()

    @property
    def is_relieved(self) -> bool:
        # Nothing announces what a host is about to commit, so this process looks for it itself.
        return monotonic() >= self._expecting_until and self._unchecked().signals.is_relieved

    def listen(self) -> None:
        self._unchecked().signals.listen()

    def expect(self) -> None:
        self._expecting_until = monotonic() + _EXPECTING_SECONDS
        super().expect()

    def prune_days(self, older_than: int, *, exact: bool) -> tuple[int, int]:
        # Days follow the server's clock. With a clock of the host's, as in a test, there are none.
        if self.time.clock is not None:
            return 0, older_than
        return self._open().days.prune(older_than, exact=exact)

    def migrate(self) -> list[str]:
        opened = self._unchecked()
        steps = self._migrate(opened.pool)
        if not steps and self.time.clock is None:
            opened.days.make()
        return steps

    def _migrate(self, pool: Pool) -> list[str]:
        # Ignore the patience of the first caller: if this were interrupted, it would start from the beginning each
        # time.
        try:
            with self.patience.unlimited(), self._transaction(pool, _WRITE) as tx:
                steps = migrate(tx, MIGRATIONS, self._place)
                if steps and self.time.clock is None:
                    make_first_days(tx)
                return steps
        except driver().Error as error:
            raise explained(error) from error

    def close(self) -> None:
        self._process.close()

    def check(self, opened: _Opened) -> None:
        """Create or check the schema, once in each process."""
        if not opened.checking.acquire(timeout=self.patience.seconds(_PATIENCE_SECONDS)):
            raise StoreError(f"PostgreSQL at {opened.pool.place} has not answered in time", name="dsn")
        before, inside.is_busy = inside.is_busy, True
        try:
            if opened.store_id is None:
                opened.store_id = self._checked(opened.pool)
        finally:
            inside.is_busy = before
            opened.checking.release()

    def check_soon(self, opened: _Opened) -> None:
        """Check the schema unless that is done, without waiting for long."""
        if opened.store_id is None:
            with self.patience.within(_ASK_SECONDS):
                self.check(opened)

    def _start(self) -> _Opened:
        driver()
        self._lost()
        return _Opened(self, self._dsn, self._size)

    def _unchecked(self) -> _Opened:
        return self._process.get()

    def _open(self) -> _Opened:
        opened = self._unchecked()
        if opened.store_id is None:
            if inside.is_busy:
                inside.refuse()
            self.check(opened)
        return opened

    def _checked(self, pool: Pool) -> str:
        try:
            with self._transaction(pool, _READ) as tx:
                return check(tx, self._place)
        except StoreError:
            if not self._migrates:
                raise
        except driver().Error as error:
            raise explained(error) from error
        self._migrate(pool)
        return self._checked(pool)

    def _ask_time(self) -> None:
        # The first emit of a process does this, too.
        with self.patience.within(_ASK_SECONDS):
            before = steady()
            self.ask(lambda tx: self.time.learn(tx.time(), before))

    def _reading(self, lend: Callable[[Pool], Any], work: Callable[[PostgresTransaction], T]) -> T:
        pool = self._open().pool
        for is_last in (False, True):
            try:
                with lend(pool) as tx:
                    return work(tx)
            except driver().Error as error:
                if is_last or not is_outage(error):
                    raise explained(error) from error
                # A read may be repeated; idle connections are as old as the one that broke.
                self._forget(pool)
        raise AssertionError  # pragma: no cover

    def _forget(self, pool: Pool) -> None:
        """Close idle connections and drop caches: another server may take over, and lack what this one had."""
        pool.forget_idle()
        self._lost()

    @contextmanager
    def _alone(self, pool: Pool) -> Iterator[PostgresTransaction]:
        with pool.lent() as connection:
            yield PostgresTransaction(connection, self.schema, 0, prefix=(_setting(_BY_INDEX),))

    @contextmanager
    def _transaction(
        self, pool: Pool, begin: Sequence[str], opening: Sequence[Call] = ()
    ) -> Iterator[PostgresTransaction]:
        with ExitStack() as lent:
            connection = lent.enter_context(pool.lent())
            try:
                tx = self._begin(connection, begin, opening)
            except driver().OperationalError:
                # It broke while it was idle, as others may have, too.
                connection.close()
                self._forget(pool)
                lent.close()
                connection = lent.enter_context(pool.lent())
                tx = self._begin(connection, begin, opening)
            try:
                yield tx
            except BaseException as error:
                # If this fails, the pool does not take the connection back.
                with suppress(driver().Error):
                    connection.execute("ROLLBACK")
                if is_read_only(error):
                    # Another server may have become the primary.
                    connection.close()
                raise
            # The last statements may have committed.
            if connection.info.transaction_status:
                connection.execute("COMMIT")

    def _begin(
        self, connection: psycopg.Connection[Any], begin: Sequence[str], opening: Sequence[Call]
    ) -> PostgresTransaction:
        before = steady()
        tx = PostgresTransaction(connection, self.schema, 0, own_times=self.time.clock is not None)
        *tx.opening, last = tx.between(_begun(connection, begin), opening, [called(connection, _NOW)])
        [(told,)] = last.rows
        if self.time.clock is None:
            self.time.learn(told, before)
        tx.now = told if self.time.clock is None else self.time.now()
        return tx


def _begun(connection: psycopg.Connection[Any], begin: Sequence[str]) -> list[str]:
    """Return the texts that begin a transaction."""
    first, *settings = begin
    return [first, *(called(connection, text) for text in settings)]
