"""A store that follows Django's settings: to the test runner's databases, to its clones of them, and back."""

from __future__ import annotations

import asyncio
import threading
from abc import update_abstractmethods
from collections.abc import Callable, Collection
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.creation import BaseDatabaseCreation

from unihooks._base.times import Clock
from unihooks.abc import Store, Watcher
from unihooks.exceptions import StoreError
from unihooks.integrations._django_connection import PostgresOnConnection, SQLiteOnConnection
from unihooks.stores import PostgresStore, SQLiteStore

_PLACE = ("NAME", "HOST", "PORT", "USER")


def _delegated(name: str) -> Callable[..., Any]:
    @wraps(getattr(Store, name))
    def verb(self: DjangoStore, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.current, name)(*args, **kwargs)

    # `wraps` marks the copy of an abstract method as abstract, too.
    vars(verb).pop("__isabstractmethod__", None)
    return verb


def _delegating(cls: type[DjangoStore]) -> type[DjangoStore]:
    """Give a class each verb of a store that it lacks, which calls that of the store `current`."""
    for name in dir(Store):
        if not name.startswith("_") and name not in vars(cls) and callable(getattr(Store, name)):
            setattr(cls, name, _delegated(name))
    return update_abstractmethods(cls)


@_delegating
class DjangoStore(Store):
    """The store in a database of Django's settings, wherever they point at the moment.

    While a `TestCase` has a transaction open, or if the database is in memory, it uses the connection of the main
    thread.
    """

    def __init__(self, alias: str, options: dict[str, Any]) -> None:
        self.alias = alias
        self._options = options
        self._lock = threading.RLock()
        self._wrapper: Any = connections[alias]
        self._preparations: list[Callable[[Store], None]] = []
        self._place: list[Any] = []
        self._opened: SQLiteStore | PostgresStore | None = None
        self._on_connection: SQLiteStore | PostgresStore | None = None
        self._watchers: set[Watcher] = set()
        # Wrong options fail here, not on first use.
        self.emit_deadline = _new_store(self._wrapper.vendor, {"NAME": "unihooks"}, options, alias).emit_deadline
        _stores.add(self)

    def __repr__(self) -> str:
        return f"store({self.alias!r})"

    @property
    def current(self) -> SQLiteStore | PostgresStore:
        """The store to which the settings point now."""
        if _is_where_tests_run():
            self._wrapper = connections[self.alias]
        if _is_lent(self._wrapper):
            return self._on_connection or self._make_on_connection()
        settings = connections.settings[self.alias]
        if self._opened is None or self._place != [settings.get(name) for name in _PLACE]:
            return self._open(settings)
        return self._opened

    def use_clock(self, clock: Clock | None) -> None:
        self._prepare(lambda store: store.use_clock(clock))

    def use_operational_events(self) -> None:
        self._prepare(lambda store: store.use_operational_events())

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def reset(self) -> None:
        """Remove everything that is stored, except what goes with the transaction of a `TestCase` anyway."""
        if not _is_in_testcase(self._wrapper):
            self.current.clear()

    def _open(self, settings: dict[str, Any]) -> SQLiteStore | PostgresStore:
        with self._lock:
            place = [settings.get(name) for name in _PLACE]
            if self._opened is None or self._place != place:
                self.close()
                self._opened = self._prepared(_new_store(self._wrapper.vendor, settings, self._options, self.alias))
                self._place = place
            return self._opened

    def _make_on_connection(self) -> SQLiteStore | PostgresStore:
        with self._lock:
            if self._on_connection is None:
                kind = _SQLiteOnDjango if self._wrapper.vendor == "sqlite" else _PostgresOnDjango
                self._on_connection = self._prepared(kind(self._lent, self._options))
            return self._on_connection

    def _prepare(self, preparation: Callable[[Store], None]) -> None:
        with self._lock:
            self._preparations.append(preparation)
            for store in filter(None, (self._opened, self._on_connection)):
                preparation(store)

    def _prepared(self, store: SQLiteStore | PostgresStore) -> SQLiteStore | PostgresStore:
        store.watched_by(self._watchers)
        for preparation in self._preparations:
            preparation(store)
        return store

    def _lent(self) -> Any:
        if self._wrapper.connection is None:
            self._wrapper.ensure_connection()
        return self._wrapper.connection


class _SQLiteOnDjango(SQLiteStore):
    def __init__(self, lend: Callable[[], Any], options: dict[str, Any]) -> None:
        super().__init__("a connection of Django's", **options)
        migrates = options.get("migrate", True)
        self._use(SQLiteOnConnection(lend, migrates=migrates, lost=self._planner.forget))


class _PostgresOnDjango(PostgresStore):
    def __init__(self, lend: Callable[[], Any], options: dict[str, Any]) -> None:
        super().__init__("", **options)
        schema, migrates = options.get("schema", "unihooks"), options.get("migrate", True)
        self._use(PostgresOnConnection(lend, schema=schema, migrates=migrates, lost=self._planner.forget))


def _new_store(
    vendor: str, settings: dict[str, Any], options: dict[str, Any], alias: str
) -> SQLiteStore | PostgresStore:
    if vendor == "sqlite":
        return SQLiteStore(settings["NAME"], **options)
    if vendor == "postgresql":
        from psycopg.conninfo import make_conninfo

        return PostgresStore(make_conninfo(**conninfo(settings)), **options)
    raise StoreError(f"the database {alias!r} is {vendor}; use one that is SQLite or PostgreSQL", name="using")


def conninfo(settings: dict[str, Any]) -> dict[str, Any]:
    """Return libpq's connection string for the settings of a database."""
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    given = {ours: settings[theirs] for theirs, ours in names.items() if settings.get(theirs)}
    passed_on = {"service", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "options", "passfile"}
    return given | {name: value for name, value in settings.get("OPTIONS", {}).items() if name in passed_on}


def _is_where_tests_run() -> bool:
    # A connection of Django's belongs to a thread, and that of a test to the main thread, outside its event loop.
    return threading.current_thread() is threading.main_thread() and asyncio._get_running_loop() is None  # noqa: SLF001 - the public one raises


def _is_lent(wrapper: Any) -> bool:
    """Return whether the store has to use the connection itself."""
    if wrapper.vendor == "sqlite":
        return _is_in_testcase(wrapper) or "mode=memory" in str(wrapper.settings_dict["NAME"])
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return _is_in_testcase(wrapper) and bool(is_psycopg3)


def _is_in_testcase(wrapper: Any) -> bool:
    return any(block._from_testcase for block in wrapper.atomic_blocks)  # noqa: SLF001 - there is no public way to tell


# Django's tests.

_stores: WeakSet[DjangoStore] = WeakSet()


def reset_stores(databases: Collection[str]) -> None:
    """Empty the stores in these databases; `"__all__"` means all databases, as in Django's tests."""
    for store in list(_stores):
        if databases == "__all__" or store.alias in databases:
            store.reset()


def _close_first(method: Callable[..., Any]) -> Callable[..., Any]:
    """Close the stores' connections before Django copies or removes a database."""

    @wraps(method)
    def closing(self: BaseDatabaseCreation, *args: Any, **kwargs: Any) -> Any:
        for store in list(_stores):
            store.close()
        given = signature(method).bind(self, *args, **kwargs).arguments
        is_kept, suffix = given.get("keepdb"), given.get("suffix")
        if self.connection.vendor == "sqlite":
            with self.connection.cursor() as cursor:
                # Django copies only the file itself.
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if suffix is not None and not is_kept:
                # Processes that used a clone have left its write-ahead log, which the next clone would take for its
                # own.
                name = self.get_test_db_clone_settings(suffix)["NAME"]
                for end in ("-wal", "-shm"):
                    Path(f"{name}{end}").unlink(missing_ok=True)
        return method(self, *args, **kwargs)

    return closing


# There is no signal for these.
for _name in ("destroy_test_db", "clone_test_db"):
    setattr(BaseDatabaseCreation, _name, _close_first(getattr(BaseDatabaseCreation, _name)))


class UnihooksTestMixin:
    """A mixin for Django's test cases: no event or webhook of one test is left in the next.

    List it before Django's class. In a `TestCase` all that a dispatcher does is rolled back with the test; after a
    `TransactionTestCase` it is removed.
    """

    databases: Collection[str]

    @classmethod
    def setUpClass(cls) -> None:
        """Start with empty stores."""
        reset_stores(cls.databases)
        super().setUpClass()  # type: ignore[misc] # Django's

    def __call__(self, result: Any = None) -> Any:
        """Run the test, and empty the stores afterwards."""
        try:
            return super().__call__(result)  # type: ignore[misc] # Django's
        finally:
            reset_stores(self.databases)
