"""An SQLite file, opened on first use in each process: one writer, a few readers, and a watch for others' events."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from importlib.resources import files
from typing import Any, TypeVar
from weakref import WeakSet

from attrs import field, frozen

from unihooks._base.per_process import PerProcess
from unihooks._base.queue_thread import OneShot
from unihooks._contract.planning import NewEvent
from unihooks.exceptions import StoreError
from unihooks.stores.sql.schema import Migrations, Place, check, migrate, version_of
from unihooks.stores.sql.transaction import Call, Database, StoreClock, Submission, Transaction
from unihooks.stores.sqlite.errors import explained, explaining, is_busy, no_tables, retrying
from unihooks.stores.sqlite.transaction import DIALECT, SQLiteTransaction
from unihooks.stores.sqlite.writer import Work, Writer

_READERS_KEPT = 4
_PATIENCE = 5.0
_CACHE_KIB = 16 * 1024
# Bytes in the write-ahead log before a checkpoint; fewer checkpoints write a busy page less often.
_BYTES_AHEAD = 16 * 1024 * 1024
_AGAIN_SECONDS = 0.02
_PATIENCE_FOR_LATER = 0.5

MIGRATIONS = Migrations(files("unihooks.stores.sqlite") / "migrations", DIALECT)

T = TypeVar("T")


class _Readers:
    """A pool of reading connections; a few are kept open."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._returned = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._lent: set[sqlite3.Connection] = set()
        self._closed = False

    @contextmanager
    def lent(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction."""
        connection = None
        try:
            with self._returned:
                connection = self._idle.pop() if self._idle else self._connect()
                self._lent.add(connection)
            connection.execute("BEGIN")
            yield connection
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        with self._returned:
            self._closed = True
            self._returned.wait_for(lambda: not self._lent, timeout=_PATIENCE)
            while self._idle:
                self._idle.pop().close()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        connection.rollback()
        with self._returned:
            self._lent.discard(connection)
            if not self._closed and len(self._idle) < _READERS_KEPT:
                self._idle.append(connection)
            else:
                connection.close()
            self._returned.notify_all()


@frozen
class _Opened:
    """The connections that this process has open."""

    store_id: str
    writer: Writer
    readers: _Readers
    _watch: sqlite3.Connection
    emptying: Any = field(factory=threading.RLock)
    _watching: Any = field(factory=threading.RLock)
    _peeked: dict[Any, tuple[Any, Any]] = field(factory=dict)

    def peek(self, work: Callable[[Transaction], T], now: Callable[[], int]) -> T:
        """Return the result of a look at the file, which is the same until another connection commits."""
        with self._watching:
            version = self._watch.execute("PRAGMA main.data_version").fetchone()
            seen = self._peeked.get(work)
            if seen is None or seen[0] != version:
                # The version was read first, so a commit since then makes the next call look again.
                seen = self._peeked[work] = (version, work(SQLiteTransaction(self._watch, now)))
            found: T = seen[1]
            return found

    def close(self) -> None:
        self.writer.stop()
        self.readers.close()
        with self._watching:
            self._watch.close()


class SQLiteDatabase(Database):
    """The file at `path`: opened when needed, closed before a fork, opened again after it.

    `inserted` is called with events within the transaction that inserts them, `lost` when that is rolled back or the
    file is opened again. Without `durable` nothing waits for the disk.
    """

    def __init__(
        self,
        path: str,
        *,
        migrate: bool,
        busy_timeout: float,
        inserted: Callable[[Sequence[NewEvent]], None],
        lost: Callable[[], None],
        durable: bool = True,
    ) -> None:
        super().__init__()
        self.path = path
        self.time = StoreClock()
        self._place = Place(f"the database {path}", "path")
        self._migrates = migrate
        self._busy_timeout = busy_timeout
        self._inserted = inserted
        self._lost = lost
        self._durable = durable
        self._process = PerProcess(self._start)
        self._id_seen: str | None = None
        self._is_utf8 = True
        # What the writing thread does within a transaction of its own is part of that transaction.
        self._lent: dict[int, sqlite3.Connection] = {}
        self._forking = False
        _databases.add(self)

    @property
    def store_id(self) -> str:
        return self._open().store_id

    @property
    def opened_id(self) -> str | None:
        opened = self._process.opened
        return self._id_seen if opened is None else opened.store_id

    def id_for_host(self) -> str:
        # The host's transaction may hold the lock, so this never waits for it. If the tables are missing and cannot be
        # created, it is a `StoreError`.
        known = self.opened_id
        if known is not None:
            return known
        self._check_is_there()
        with explaining(self.path), closing(self._connect(0)) as connection:
            try:
                if self._migrates and not version_of(SQLiteTransaction(connection, self.time.now), self._place):
                    connection.execute("PRAGMA main.journal_mode = WAL")
                self._id_seen = self._checked(connection)
            except sqlite3.OperationalError as error:
                raise (no_tables(self.path) if is_busy(error) else error) from error
        return self._id_seen

    def look_seconds(self) -> tuple[float, float]:
        # Nothing announces what other processes commit.
        return 0.007, 0.08

    def peek(self, work: Callable[[Transaction], T]) -> T | None:
        # Without a context manager, since an idle worker does this again and again.
        try:
            return self._open().peek(work, self.time.now)
        except sqlite3.Error as error:
            if is_busy(error):
                return None
            raise explained(error, self.path) from error

    def write(self, work: Callable[[Transaction], T], opening: Sequence[Call] = (), *, synced: bool = True) -> T:
        def begun(connection: sqlite3.Connection) -> T:
            tx = SQLiteTransaction(connection, self.time.now, is_utf8=self._is_utf8)
            tx.opening = tx.pipeline(*opening)
            return work(tx)

        lent = self._lent.get(threading.get_ident())
        if lent is not None:
            return begun(lent)
        waiter = OneShot()
        self._queue(begun, waiter, is_synced=synced)
        try:
            done: T = waiter.result(self.patience.ends_at)
        except TimeoutError as error:
            raise StoreError(f"the database {self.path} stayed busy for too long", name="path") from error
        return done

    def submit(self, call: Callable[[], T], *, synced: bool) -> Future[T]:
        def run(connection: sqlite3.Connection) -> T:
            self._lent[threading.get_ident()] = connection
            try:
                return call()
            finally:
                self._lent.clear()

        waiter: Future[T] = Future()
        self._queue(run, waiter, is_synced=synced)
        return waiter

    def _queue(self, work: Work, waiter: Future[Any] | OneShot, *, is_synced: bool) -> None:
        while not (opened := self._open()).writer.call(work, waiter, is_synced=is_synced):
            self._process.close(opened)

    def read(self, work: Callable[[Transaction], T]) -> T:
        with explaining(self.path), self._open().readers.lent() as connection:
            return work(SQLiteTransaction(connection, self.time.now, is_utf8=self._is_utf8))

    def emit(self, submission: Submission) -> None:
        while not (opened := self._open()).writer.emit(submission):
            self._process.close(opened)

    def migrate(self) -> list[str]:
        with explaining(self.path), closing(self._connect()) as connection:
            self._use_wal(connection)
            return self._migrate(connection)

    def scrub(self, *, later: bool = False) -> None:
        # The write-ahead log has older copies of pages, so a checkpoint moves its content to the file, and truncates
        # it.
        deadline = time.monotonic() + (_PATIENCE_FOR_LATER if later else _PATIENCE)
        with self._open().emptying, explaining(self.path), closing(self._connect()) as connection:
            # Emits wait during each try, and get their turn between two.
            connection.execute("PRAGMA busy_timeout = 200")
            while connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    break
                time.sleep(_AGAIN_SECONDS)
            else:
                return
        if not later:
            raise StoreError(f"a connection still reads older pages of {self.path}; erase again later", name="path")
        self._open().writer.shorten_soon()

    def close(self) -> None:
        self._id_seen = None
        self._process.close()

    def before_fork(self) -> None:
        # SQLite must not be open across a fork, so nobody opens it until the fork is done.
        self._forking = self._process.hold(_PATIENCE)
        if self._forking:
            self.close()

    def after_fork_in_parent(self) -> None:
        if self._forking:
            self._process.release()

    def _open(self) -> _Opened:
        return self._process.get()

    def _start(self) -> _Opened:
        self._check_is_there()
        with explaining(self.path):
            connection = self._connect()
            try:
                if self._migrates:
                    self._use_wal(connection)
                store_id = self._checked(connection)
                self._is_utf8 = connection.execute("PRAGMA main.encoding").fetchone()[0] == "UTF-8"
                watch = self._connect(0)
            except BaseException:
                connection.close()
                raise
            writer = Writer(connection, self.path, self._inserted, self._lost, self.emitted)
        self._lost()
        return _Opened(store_id, writer, _Readers(self._connect), watch)

    def _check_is_there(self) -> None:
        if not self._migrates and not os.path.exists(self.path):  # noqa: PTH110 - it may be bytes of any form
            raise StoreError(f"there is no database {self.path}; run `unihooks migrate`", name="path")

    def _checked(self, connection: sqlite3.Connection) -> str:
        tx = SQLiteTransaction(connection, self.time.now)
        try:
            return check(tx, self._place)
        except StoreError:
            if not self._migrates:
                raise
        self._migrate(connection)
        return check(tx, self._place)

    def _migrate(self, connection: sqlite3.Connection) -> list[str]:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            return migrate(SQLiteTransaction(connection, self.time.now), MIGRATIONS, self._place)

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switch the file to WAL for good; others that open it at the same time may prevent that for a moment."""

        def switch() -> None:
            if connection.execute("PRAGMA main.journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA main.journal_mode = WAL")

        retrying(switch, self._busy_timeout, _AGAIN_SECONDS)

    def _make_private(self) -> None:
        # Files that SQLite puts beside it get the same mode. An existing file is not even opened: closing it again
        # would release the locks that other connections of this process hold.
        with contextlib.suppress(OSError):
            made = os.open(os.path.realpath(self.path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.close(made)

    def _connect(self, busy_timeout: float | None = None) -> sqlite3.Connection:
        if self._process.is_open_in_parent:
            # SQLite would mistake the parent's locks for its own, and lose events once the parent closes the file.
            raise StoreError(
                f"{self.path} was open when this process was forked without Python's knowledge; use it only after that "
                "(uWSGI: lazy-apps)",
                name="path",
            )
        self._make_private()
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout if busy_timeout is None else busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        try:
            connection.execute(f"PRAGMA main.synchronous = {'FULL' if self._durable else 'OFF'}")
            # Otherwise old pages of a savepoint would be written to a temporary file, as much as to the log.
            connection.execute("PRAGMA temp_store = MEMORY")
            # Erased and moved content is overwritten: a row that grows leaves its old place.
            connection.execute("PRAGMA main.secure_delete = ON")
            connection.execute(f"PRAGMA main.cache_size = -{_CACHE_KIB}")
            page_size = connection.execute("PRAGMA main.page_size").fetchone()[0]
            connection.execute(f"PRAGMA main.wal_autocheckpoint = {_BYTES_AHEAD // page_size}")
        except BaseException:
            connection.close()
            raise
        return connection


_databases: WeakSet[SQLiteDatabase] = WeakSet()


def _before_fork() -> None:
    for database in list(_databases):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_databases):
        database.after_fork_in_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
