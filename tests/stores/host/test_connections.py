"""The promises of an emit inside a host's transaction, for every kind of connection."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import aiosqlite
import pytest

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent
from unihooks.abc import EventFilter, Window
from unihooks.exceptions import IdempotencyConflict, StoreError
from unihooks.stores import SQLiteStore
from unihooks.stores.host import connections


@pytest.fixture
def path(tmp_path):
    return tmp_path / "host.db"


@pytest.fixture
def store(path):
    store = SQLiteStore(path, busy_timeout=1)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def connection(store, path):
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def make_event(store, **more):
    at = store.now()
    return NewEvent(new_id("evt_", at), "default", "shop", "order.paid", b'{"n":1}', at, **more)


def stored_ids(store):
    return [item.id for item in store.list_events("default", EventFilter(), Window(limit=10))]


class Named(sqlite3.Connection):
    """A host's own class of connection."""


class TestSqlite3:
    def test_event_is_stored_exactly_if_the_host_commits(self, store, connection):
        for outcome in ("ROLLBACK", "COMMIT"):
            connection.execute("BEGIN IMMEDIATE")
            event = store.emit_on(connection, make_event(store))
            assert connection.in_transaction
            connection.execute(outcome)
        assert stored_ids(store) == [event.id]

    @pytest.mark.parametrize("isolation_level", ["", "IMMEDIATE", "DEFERRED"])
    def test_implicit_transaction_is_left_open(self, store, path, isolation_level):
        connection = sqlite3.connect(path, isolation_level=isolation_level)
        store.emit_on(connection, make_event(store))
        assert connection.in_transaction
        connection.rollback()
        assert stored_ids(store) == []
        event = store.emit_on(connection, make_event(store))
        connection.commit()
        connection.close()
        assert stored_ids(store) == [event.id]

    def test_event_is_stored_at_once_in_autocommit(self, store, connection):
        event = store.emit_on(connection, make_event(store))
        assert not connection.in_transaction
        assert stored_ids(store) == [event.id]

    def test_factories_and_converters_of_the_host_do_not_matter(self, store, path):
        connection = sqlite3.connect(path, factory=Named, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES)
        connection.row_factory = lambda _cursor, _row: {"a": "dict"}
        connection.text_factory = bytes
        event = make_event(store)
        assert store.emit_on(connection, event).id == event.id
        connection.commit()
        connection.close()

    def test_other_database_is_an_error_that_says_so(self, store, tmp_path):
        foreign = SQLiteStore(tmp_path / "other.db")
        foreign.migrate()
        foreign.close()
        for path in (tmp_path / "other.db", ":memory:"):
            connection = sqlite3.connect(path)
            with pytest.raises(StoreError, match="another database"):
                store.emit_on(connection, make_event(store))
            connection.close()

    def test_table_of_the_same_name_in_an_attached_or_temporary_schema_is_not_used(self, store, connection):
        connection.execute("CREATE TEMP TABLE unihooks_events (tenant, id)")
        event = store.emit_on(connection, make_event(store))
        assert stored_ids(store) == [event.id]

    def test_key_returns_the_first_event_and_other_content_is_a_conflict(self, store, connection):
        first = store.emit_on(connection, make_event(store, idempotency_key="k", digest=b"one"))
        again = store.emit_on(connection, make_event(store, idempotency_key="k", digest=b"one"))
        assert (again.id, again.created_at) == (first.id, first.created_at)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(IdempotencyConflict):
            store.emit_on(connection, make_event(store, idempotency_key="k", digest=b"two"))
        connection.execute("CREATE TABLE still_open (id)")
        connection.execute("COMMIT")
        assert stored_ids(store) == [first.id]

    def test_stale_read_transaction_is_told_to_begin_immediate(self, store, connection):
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM unihooks_events").fetchall()
        store.submit_events([make_event(store)]).result(timeout=10)
        with pytest.raises(StoreError, match="BEGIN IMMEDIATE"):
            store.emit_on(connection, make_event(store))
        connection.execute("ROLLBACK")


class TestAiosqlite:
    async def test_event_is_stored_exactly_if_the_host_commits(self, store, path):
        async with aiosqlite.connect(path) as connection:
            connection.row_factory = aiosqlite.Row
            await store.aemit_on(connection, make_event(store))
            await connection.rollback()
            event = await store.aemit_on(connection, make_event(store))
            await connection.commit()
        assert stored_ids(store) == [event.id]

    async def test_emit_without_await_is_told_to_use_aemit(self, store, path):
        async with aiosqlite.connect(path) as connection:
            with pytest.raises(TypeError, match="aemit"):
                store.emit_on(connection, make_event(store))

    async def test_synchronous_connection_may_be_used_in_async_code(self, store, connection):
        event = await store.aemit_on(connection, make_event(store))
        assert stored_ids(store) == [event.id]


@pytest.mark.parametrize("wrong", [None, "postgresql://", object(), 3])
def test_unknown_connection_is_a_type_error_that_lists_the_known_kinds(wrong):
    with pytest.raises(TypeError, match="aiosqlite"):
        connections.recognise(wrong)


def test_nothing_is_imported_to_recognise_a_connection():
    script = """
import sqlite3, sys
from unihooks.stores.host.connections import recognise
recognise(sqlite3.connect(":memory:"))
print([name for name in ("aiosqlite", "asyncpg", "django", "psycopg", "psycopg2", "sqlalchemy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
