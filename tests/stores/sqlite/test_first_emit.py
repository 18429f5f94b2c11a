"""The first emit of a process waits for no lock of the host, and blocks no event loop."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from unihooks import Dispatcher
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore
from unihooks.stores.sqlite.database import SQLiteDatabase

# A caller that waits for the lock waits longer than a test may take.
PATIENT = {"busy_timeout": 600}


@pytest.fixture
def connection(tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE orders (number INTEGER)")
        yield connection


@pytest.fixture
def dispatcher(tmp_path):
    with Dispatcher(SQLiteStore(tmp_path / "shop.db", **PATIENT)) as dispatcher:
        yield dispatcher


def locked(connection):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO orders VALUES (1)")


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_without_tables_it_says_at_once_that_they_are_to_be_made_first(dispatcher, connection, journal):
    connection.execute(f"PRAGMA journal_mode = {journal}")
    locked(connection)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"tables do not exist: call dispatcher\.migrate\(\) first"):
            dispatcher.emit("shop", "paid", 1, connection=connection)
        with pytest.raises(StoreError, match=r"tables do not exist: call dispatcher\.migrate\(\) first"):
            await dispatcher.aemit("shop", "paid", 1, connection=connection)
    connection.execute("COMMIT")
    await dispatcher.amigrate()
    locked(connection)
    event = await dispatcher.aemit("shop", "paid", 1, connection=connection)
    connection.execute("COMMIT")
    assert dispatcher.log.events()[0].id == event.id


def test_first_emit_creates_the_tables_if_no_lock_blocks_it(dispatcher, connection):
    event = dispatcher.emit("shop", "paid", 1, connection=connection)
    assert dispatcher.log.events()[0].id == event.id


def test_a_transaction_that_began_before_the_store_was_opened_may_emit(dispatcher, connection, tmp_path):
    SQLiteStore(tmp_path / "shop.db").migrate()
    locked(connection)
    event = dispatcher.emit("shop", "paid", 1, connection=connection)
    connection.execute("COMMIT")
    assert dispatcher.log.events()[0].id == event.id


@pytest.mark.parametrize("file", ["shop.db", "missing.db"])
def test_a_store_that_may_not_migrate_says_so_and_makes_no_file(tmp_path, connection, file):
    dispatcher = Dispatcher(SQLiteStore(tmp_path / file, migrate=False))
    with pytest.raises(StoreError, match="unihooks migrate"):
        dispatcher.emit("shop", "paid", 1, connection=connection)
    assert [path.name for path in tmp_path.glob("*.db")] == ["shop.db"]


async def test_a_file_is_opened_beside_the_event_loop(dispatcher, connection, monkeypatch):
    opened_in = []
    for name in ("_use_wal", "id_for_host"):
        real = getattr(SQLiteDatabase, name)
        noting = lambda *args, real=real: opened_in.append(threading.get_ident()) or real(*args)  # noqa: E731
        monkeypatch.setattr(SQLiteDatabase, name, noting)
    await dispatcher.aemit("shop", "paid", 1, connection=connection)
    await dispatcher.aemit("shop", "paid", 2)
    assert len(opened_in) == 2
    assert threading.get_ident() not in opened_in
