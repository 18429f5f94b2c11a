"""A store in one SQLite file, which may be the host's own."""

from __future__ import annotations

import os
import re

from unihooks._model.checks import storable
from unihooks.exceptions import StoreError
from unihooks.stores.host.emitting import ON_HOST, HostInsert, HostStore
from unihooks.stores.sql.planning import Planner
from unihooks.stores.sqlite.database import SQLiteDatabase
from unihooks.stores.sqlite.errors import explained_on_host
from unihooks.stores.sqlite.transaction import STATEMENTS

_MOST_SECONDS_BUSY = 3600
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|(sqlite|file):", re.IGNORECASE)


class SQLiteStore(HostStore):
    """A store in the SQLite file at `path`.

    The tables are created and brought up to date on first use, and the file is switched to write-ahead logging; with
    `migrate=False` an old or missing schema is a `StoreError`. Several processes may use one file. `busy_timeout` is
    how many seconds to wait for others' locks, `emit_deadline` how many an emit takes at most.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        migrate: bool = True,
        busy_timeout: float = 5.0,
        emit_deadline: float = 10.0,
        _durable: bool = True,  # MemoryStore needs no disk
    ) -> None:
        planner = Planner()
        self._sqlite = SQLiteDatabase(
            _checked_path(path),
            migrate=migrate,
            busy_timeout=_checked_seconds(busy_timeout),
            inserted=planner.keep,
            lost=planner.forget,
            durable=_durable,
        )
        # Not a reference to self, so that the store is freed as soon as nobody uses it.
        path = self._sqlite.path
        elsewhere = f"the connection leads to another database than the store's; pass one to the file at {path}"
        texts = {name: STATEMENTS[name].text for name in ON_HOST}
        self._host = HostInsert("sqlite", texts, elsewhere, lambda error: explained_on_host(error, path))
        super().__init__(self._sqlite, planner, emit_deadline=emit_deadline)


def _checked_seconds(busy_timeout: object) -> float:
    if isinstance(busy_timeout, int | float) and 0 <= busy_timeout <= _MOST_SECONDS_BUSY:
        return busy_timeout
    raise ValueError(f"busy_timeout must be 0 to {_MOST_SECONDS_BUSY} seconds, not {busy_timeout!r}")


def _checked_path(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"SQLiteStore takes a path, such as 'webhooks.db', not {type(path).__name__}")
    text = os.fspath(path)
    if text in {"", ":memory:"}:
        raise StoreError("SQLiteStore needs a file; to keep everything in memory use MemoryStore()", name="path")
    if _URL.match(text):  # not shown, since it may contain a password
        raise StoreError("SQLiteStore takes a path, not a URL; give the path alone, such as 'webhooks.db'", name="path")
    if not storable(text):
        raise StoreError("path holds a NUL or a lone surrogate; give one such as 'webhooks.db'", name="path")
    return os.path.abspath(text)  # noqa: PTH100 - a later chdir must not change the file
