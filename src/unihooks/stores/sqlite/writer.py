"""Write from one thread: queued calls share a transaction, and one commit makes them durable."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import chain
from operator import attrgetter
from typing import Any

from unihooks._base.queue_thread import OneShot, QueueThread, ended
from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.abc import EmitOutcome
from unihooks.exceptions import StoreError
from unihooks.stores.sql.emitting import events_of, insert_apart, insert_keyed, one_by_one_if_refused
from unihooks.stores.sql.quotas import insert_within
from unihooks.stores.sql.transaction import Submission
from unihooks.stores.sqlite.errors import explained, retrying
from unihooks.stores.sqlite.transaction import SQLiteTransaction, chunks

Work = Callable[[sqlite3.Connection], Any]

_ROW = attrgetter("tenant", "id", "product", "event_type", "created_at", "subject", "body")
_EVENTS_PER_GROUP = 2_000
# From this mean size on, copying the bodies takes longer than a statement for each event.
_LARGE_BODIES = 16 * 1024
# Beyond this many bytes of write-ahead log, commits pause until readers release it: while reads overlap all the time,
# SQLite alone never restarts it.
_LONG_LOG = 64 * 1024 * 1024
_LOOK_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 5.0
_PAUSE_MS = 200
_BUSY_AGAIN_SECONDS = 0.0005
_FULL = 2
# Emits wait for at most this much other work, in seconds, besides the piece that is running.
_PATIENCE = 0.002


class _Job:
    """A call to be made in the transaction, and the promise of its outcome."""

    __slots__ = ("is_synced", "outcome", "per_minute", "task", "waiter")

    def __init__(
        self, task: Any, waiter: Future[Any] | OneShot, *, is_synced: bool = True, per_minute: int | None = None
    ) -> None:
        self.task = task
        self.waiter = waiter
        self.is_synced = is_synced
        self.per_minute = per_minute
        self.outcome: Any = None


class Writer(QueueThread[_Job]):
    """The one connection that writes, and the thread that uses it.

    `inserted` is called with events within the transaction, `lost` when it is rolled back, `emitted` when it is
    committed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: str,
        inserted: Callable[[Sequence[NewEvent]], None],
        lost: Callable[[], None],
        emitted: Callable[[], None],
    ) -> None:
        super().__init__("unihooks-sqlite-writer", lines=2)
        self.trouble = f"the database {path} was busy"
        self._emits, self._calls = self._lines
        self._connection = connection
        # SQLite's own waiting sleeps ever longer, up to 100 ms. If another process writes all the time, that is many
        # times as long as it holds the lock.
        self._busy_seconds = connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1_000
        connection.execute("PRAGMA busy_timeout = 0")
        self._may_spare_syncs = connection.execute("PRAGMA main.synchronous").fetchone()[0] == _FULL
        self._is_syncing = True
        self._path = path
        self._log = f"{path}-wal"
        self._file_open = _file_at(path)
        self._log_open = _file_at(self._log, may_be_empty=True)
        self._inserted = inserted
        self._lost = lost
        self._emitted = emitted
        self._next_look = 0.0
        self._longest_log = _LONG_LOG

    def emit(self, submission: Submission) -> bool:
        """Queue events for insertion; False if the writer has been stopped."""
        return self.add(_Job(submission.events, submission.waiter, per_minute=submission.per_minute))

    def call(self, work: Work, waiter: Future[Any] | OneShot, *, is_synced: bool) -> bool:
        """Queue a function of the connection; False if the writer has been stopped.

        One that need not be synced reaches the disk with the next one that is.
        """
        return self.add(_Job(work, waiter, is_synced=is_synced), line=1)

    def _work(self) -> None:
        has_inserted = False
        try:
            has_inserted = self._transact()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the waiting callers must get it
            self._roll_back()
            self._lost()
            for job in self._taken:
                job.outcome = self._explained(error)
        _resolve(self._taken)
        if has_inserted:
            self._emitted()
        self._shorten_log()

    def shorten_soon(self) -> None:
        """Truncate the write-ahead log, however short it is, once no reader prevents that after a commit."""
        self._longest_log = 0

    def _close(self) -> None:
        self._connection.close()

    def _transact(self) -> bool:
        """Do what is queued; return whether that inserted events."""
        deadline = time.monotonic() + _PATIENCE
        capacity = _EVENTS_PER_GROUP
        while self._emits and capacity > 0 and self._take(self._emits):
            capacity -= len(self._taken[-1].task)
        has_inserted = bool(self._taken)
        if has_inserted:
            self._begin(is_synced=True)
            self._insert(self._taken)
        while self._calls and self._may_join(self._calls) and self._take(self._calls):
            alone = len(self._taken) == 1
            if alone:
                self._begin(is_synced=any(job.is_synced for job in (*self._taken, *self._calls)))
            self._call(self._taken[-1], alone=alone)
            if time.monotonic() > deadline:
                break
        if self._taken:
            self._connection.execute("COMMIT")
        return has_inserted

    def _may_join(self, calls: deque[_Job]) -> bool:
        """Return whether the next call may be part of the transaction, if one has begun."""
        with contextlib.suppress(IndexError):  # its caller has withdrawn it
            return not self._taken or self._is_syncing or not calls[0].is_synced
        return False

    def _begin(self, *, is_synced: bool) -> None:
        self._check_files()
        self._roll_back()
        if self._may_spare_syncs and is_synced != self._is_syncing:
            # A script is compiled each time, and this pragma takes effect when it is compiled.
            self._connection.executescript(f"PRAGMA main.synchronous = {'FULL' if is_synced else 'NORMAL'}")
            self._is_syncing = is_synced
        retrying(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._busy_seconds, _BUSY_AGAIN_SECONDS)

    def _check_files(self) -> None:
        # SQLite would go on writing to files that have been removed.
        if _file_at(self._path) != self._file_open:
            raise StoreError(
                f"the database {self._path} was deleted, emptied or replaced while in use; "
                "put the right file in its place, then close the store or restart",
                name="path",
            )
        log = _file_at(self._log, may_be_empty=True)
        self._log_open = self._log_open or log
        if log != self._log_open:
            raise StoreError(
                f"{self._log} was deleted or replaced while in use; close the store or end the process "
                "in order, which moves what it held to the database",
                name="path",
            )

    def _insert(self, emits: list[_Job]) -> None:
        events = [event for job in emits for event in job.task]
        if any(job.per_minute is not None for job in emits):
            limits = [job.per_minute for job in emits for _ in job.task]
            tx = SQLiteTransaction(self._connection, int)
            outcomes = insert_within(tx, events, limits, lambda allowed: _outcomes(self._connection, allowed))
            events = [event for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Event)]
        else:
            outcomes = _outcomes(self._connection, events)
        self._inserted(events)
        start = 0
        for job in emits:
            job.outcome = outcomes[start : start + len(job.task)]
            start += len(job.task)

    def _call(self, job: _Job, *, alone: bool) -> None:
        if alone:
            # Its error may end the transaction: a savepoint would copy every page that changes.
            job.outcome = job.task(self._connection)
            return
        # An error in here concerns only this job, unless SQLite has rolled back the whole transaction.
        self._connection.execute("SAVEPOINT job")
        try:
            job.outcome = job.task(self._connection)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO job")
            job.outcome = self._explained(error)
        self._connection.execute("RELEASE job")

    def _roll_back(self) -> None:
        # The thread must go on even if this fails; it is tried again before the next transaction.
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()

    def _shorten_log(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        with contextlib.suppress(OSError, sqlite3.Error):
            if os.path.getsize(self._log) > self._longest_log:  # noqa: PTH202
                if self._begin_log_anew():
                    self._longest_log = _LONG_LOG
                else:
                    self._next_look = now + _LOOK_AGAIN_SECONDS

    def _begin_log_anew(self) -> bool:
        self._connection.execute(f"PRAGMA busy_timeout = {_PAUSE_MS}")
        try:
            busy, _, _ = self._connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")
        return not busy

    def _explained(self, error: BaseException) -> BaseException:
        if not isinstance(error, Exception):
            return ended(error)
        if not isinstance(error, sqlite3.Error):
            return error
        failure = explained(error, self._path)
        failure.__cause__ = error
        return failure


def _file_at(path: str, *, may_be_empty: bool = False) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - an absolute text is at hand
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if may_be_empty or found.st_size else None


def _resolve(done: list[_Job]) -> None:
    for job in done:
        if isinstance(job.outcome, BaseException):
            job.waiter.set_exception(job.outcome)
        else:
            job.waiter.set_result(job.outcome)


def _pieces(events: Sequence[NewEvent]) -> Iterable[Sequence[NewEvent]]:
    """Return the events, grouped by statement."""
    # SQLite copies the rows of a statement with several, since a trigger follows.
    if sum(len(one.body or b"") for one in events) > _LARGE_BODIES * len(events):
        return [[one] for one in events]
    return chunks(events)


def _outcomes(connection: sqlite3.Connection, events: Sequence[NewEvent]) -> list[EmitOutcome]:
    """Insert events within the open transaction; one that cannot be stored fails alone."""
    tx = SQLiteTransaction(connection, int)

    def concerns_one(error: Exception) -> bool:
        # A full disk concerns everyone, and SQLite may already have rolled back.
        if not isinstance(error, sqlite3.Error):
            return True
        lasting = isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError)
        return lasting and connection.in_transaction

    def insert_plain(events: Sequence[NewEvent]) -> list[EmitOutcome]:
        tx.run("add_events", list(map(_ROW, events)))
        return events_of(events)

    def insert_pieces(events: Sequence[NewEvent]) -> list[EmitOutcome]:
        # A refused event undoes only its own statement.
        pieces = [one_by_one_if_refused(insert_plain, piece, concerns_one) for piece in _pieces(events)]
        return list(chain.from_iterable(pieces))

    def insert_keys(events: Sequence[NewEvent]) -> list[EmitOutcome]:
        return one_by_one_if_refused(lambda events: insert_keyed(tx, events), events, concerns_one)

    return insert_apart(events, insert_pieces, insert_keys)
