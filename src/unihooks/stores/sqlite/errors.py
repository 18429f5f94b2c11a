"""Turn errors of sqlite3 into sentences that say what to do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unihooks.exceptions import StoreError

_LOCKED = (
    "the database {path} stayed locked; if this thread has a write transaction of its own open on that file, "
    "only emit(connection=...) works inside it, so commit first; otherwise raise busy_timeout"
)
_SENTENCES = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOTADB: "{path} is not an SQLite database; give another path",
    sqlite3.SQLITE_CORRUPT: "the database {path} is damaged; restore it from a backup",
    sqlite3.SQLITE_CANTOPEN: "the database {path} cannot be opened; its directory must exist and be accessible",
    sqlite3.SQLITE_READONLY: "the database {path} cannot be written; make the file and its directory writable",
    sqlite3.SQLITE_PERM: "the database {path} may not be accessed; check the permissions of file and directory",
    sqlite3.SQLITE_FULL: "the database {path} cannot grow; free space on its disk (or raise its max_page_count)",
    sqlite3.SQLITE_IOERR: "reading or writing {path} failed; check its disk",
}
_OPEN = "pass one that is open, in the thread that made it"
_BUSY_SNAPSHOT = (
    "the transaction has read before and the database has changed since, so it cannot write any more; "
    "start it with BEGIN IMMEDIATE (Django: OPTIONS transaction_mode 'IMMEDIATE') and try again"
)


def explained(error: sqlite3.Error, path: str) -> StoreError:
    """Return the StoreError for an error of our own connection to `path`."""
    code = _code(error)
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return StoreError(_BUSY_SNAPSHOT, name="connection")
    sentence = _SENTENCES.get(code & 0xFF)
    if sentence is None:
        return StoreError(f"the database {path} refused a statement: {error}", name="path")
    return StoreError(sentence.format(path=path), name="path")


def explained_on_host(error: BaseException, path: str) -> StoreError | None:
    """Return the StoreError for an error on a host's connection, None if the tables are not there."""
    if "no such table" in str(error):
        return None
    if isinstance(error, sqlite3.ProgrammingError) or not isinstance(error, sqlite3.Error):
        reason = str(error).rstrip(".")
        return StoreError(f"the connection cannot be used: {reason}; {_OPEN}", name="connection")
    return explained(error, path)


def no_tables(path: str) -> StoreError:
    """Return the StoreError for an emit in a transaction of the host's that prevents the tables from being created."""
    sentence = f"the tables do not exist: call dispatcher.migrate() first, before a transaction of yours locks {path}"
    return StoreError(sentence, name="connection")


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection holds the lock for now."""
    return _code(error) & 0xFF == sqlite3.SQLITE_BUSY


def retrying(step: Callable[[], object], seconds: float, pause: float) -> None:
    """Do a step; repeat it, for up to this many seconds, while another connection holds the lock."""
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= deadline
        try:
            step()
        except sqlite3.OperationalError as error:
            if is_last or not is_busy(error):
                raise
        else:
            return
        time.sleep(pause)


@contextmanager
def explaining(path: str) -> Iterator[None]:
    """Raise sqlite3's errors within as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, path) from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", None) or 0
