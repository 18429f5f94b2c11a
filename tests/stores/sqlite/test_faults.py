"""Faults of SQLite and its file: nothing hangs, grows without bound or is lost."""

from __future__ import annotations

import os
import sqlite3
import threading

import pytest
from sqlite_scene import add_webhook, emit, make_event

from unihooks.abc import EventFilter, Window
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore
from unihooks.stores.sqlite import writer as _sqlite_writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "webhooks.db"


@pytest.fixture
def store(path):
    store = SQLiteStore(path)
    yield store
    store.close()


def deny_roll_backs(action, word, *_):
    return sqlite3.SQLITE_DENY if action in {22, 32} and word == "ROLLBACK" else sqlite3.SQLITE_OK


def test_writer_continues_after_a_failed_rollback(store):
    webhook = add_webhook(store)
    connection = store._sqlite._open().writer._connection
    connection.set_authorizer(deny_roll_backs)
    with pytest.raises(ZeroDivisionError):
        store.revise_webhook("default", webhook.id, lambda _: 1 / 0)
    with pytest.raises(StoreError, match="refused a statement"):
        emit(store, make_event(store))
    connection.set_authorizer(None)
    emit(store, make_event(store))
    assert len(store.list_events("default", EventFilter(), Window(limit=9))) == 1


def test_a_file_that_was_emptied_takes_no_more_events(store, path):
    emit(store, make_event(store))
    os.truncate(path, 0)
    with pytest.raises(StoreError, match="emptied or replaced while in use"):
        emit(store, make_event(store))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_deleted_write_ahead_log_takes_no_more_events_and_an_ordered_end_saves_what_it_held(store, path, replaced):
    emit(store, make_event(store))
    log = path.with_name(path.name + "-wal")
    log.unlink()
    if replaced:
        log.write_bytes(b"")
    with pytest.raises(StoreError, match="-wal was deleted or replaced while in use"):
        emit(store, make_event(store))
    log.unlink(missing_ok=True)
    store.close()
    emit(store, make_event(store))
    assert len(store.list_events("default", EventFilter(), Window(limit=9))) == 2


@pytest.fixture
def reads_without_end(path):
    """Read in two threads whose transactions overlap, so that a reader is always active."""
    stopped = threading.Event()
    reading = [threading.Event(), threading.Event()]

    def read(own, other):
        connection = sqlite3.connect(path, isolation_level=None)
        while not stopped.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM unihooks_events LIMIT 1").fetchall()
            own.set()
            other.wait(0.05)
            other.clear()
            connection.execute("ROLLBACK")
        connection.close()

    threads = [threading.Thread(target=read, args=pair) for pair in (reading, reversed(reading))]
    yield lambda: [thread.start() for thread in threads]
    stopped.set()
    for thread in threads:
        thread.join()


def test_write_ahead_log_stays_short_while_reads_overlap_without_end(store, path, reads_without_end, monkeypatch):
    monkeypatch.setattr(_sqlite_writer, "_LONG_LOG", 1024 * 1024)
    monkeypatch.setattr(_sqlite_writer, "_LOOK_SECONDS", 0)
    # On a busy machine the thread of a reader may get no turn within the usual pause.
    monkeypatch.setattr(_sqlite_writer, "_LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(_sqlite_writer, "_PAUSE_MS", 5_000)
    store.migrate()
    reads_without_end()
    longest = 0
    for _ in range(60):
        emit(store, *[make_event(store, body=b"x" * 100_000) for _ in range(4)])
        longest = max(longest, path.with_name(path.name + "-wal").stat().st_size)
    assert longest < 4 * 1024 * 1024


def test_reader_that_never_lets_go_delays_emits_only_now_and_then(store, path, monkeypatch):
    monkeypatch.setattr(_sqlite_writer, "_LONG_LOG", 0)
    monkeypatch.setattr(_sqlite_writer, "_LOOK_SECONDS", 0)
    looks = []

    def note(writer):
        looks.append(writer)
        return False

    monkeypatch.setattr(_sqlite_writer.Writer, "_begin_log_anew", note)
    for _ in range(5):
        emit(store, make_event(store))
    assert len(looks) == 1
