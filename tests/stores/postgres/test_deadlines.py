"""An emit ends by its deadline whatever the server does, and continues by itself once it can."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import postgres_server
import psycopg
import pytest
from postgres_scene import emit, make_event, stored_ids
from proxy import Proxy
from waiting import wait_for

from unihooks import Dispatcher, Emission
from unihooks.exceptions import StoreError
from unihooks.stores import PostgresStore, SQLiteStore
from unihooks.stores.postgres import emitter, pool

pytestmark = pytest.mark.postgres

DEADLINE = 1.0
# A call that takes longer hangs: the deadline of each is a tenth of this.
HANG = 30
KEYED = [Emission("shop", "paid", 1, idempotency_key="k")]

EMITS = {
    "emit": lambda one: one.emit("shop", "paid", 1),
    "emit with a key": lambda one: one.emit("shop", "paid", 1, idempotency_key="l"),
    "emit_many": lambda one: one.emit_many([("shop", "paid", 1)] * 3),
    "emit_many with a key": lambda one: one.emit_many(KEYED),
    "aemit": lambda one: asyncio.run(one.aemit("shop", "paid", 1)),
    "aemit with a key": lambda one: asyncio.run(one.aemit("shop", "paid", 1, idempotency_key="m")),
    "aemit_many": lambda one: asyncio.run(one.aemit_many(KEYED)),
}


def refused(dispatcher, names=tuple(EMITS)):
    """Emit in all ways at the same time, and return the errors."""
    with ThreadPoolExecutor(len(names)) as threads:
        calls = [threads.submit(EMITS[name], dispatcher) for name in names]
        return [call.exception(HANG) for call in calls]


def check_refusals(errors):
    for error in errors:
        assert isinstance(error, StoreError), error
        assert error.name == "emit_deadline"
        assert "not confirmed within 1 s" in str(error)
        assert "may have been stored or not; repeating the call is safe with an idempotency_key" in str(error)
        assert "s3cr3t" not in str(error)


@pytest.fixture
def new_dispatcher_of(schema):
    """Yield warmed-up dispatchers of the server at a dsn: each way to emit has a connection."""
    made = []

    def make(dsn, **options):
        store = PostgresStore(dsn, **{"schema": schema, "emit_deadline": DEADLINE, **options})
        made.append(Dispatcher(store))
        made[-1].emit("shop", "paid", 0)
        made[-1].emit("shop", "paid", 0, idempotency_key="first")
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.slow
def test_frozen_server_holds_no_emit_beyond_its_deadline(new_dispatcher_of):
    with postgres_server.serving() as server:
        dispatcher = new_dispatcher_of(f"{server.dsn}?password=s3cr3t")
        server.freeze()
        try:
            check_refusals(refused(dispatcher))
            check_refusals(refused(dispatcher, ["emit", "aemit"]))
        finally:
            server.thaw()
        wait_for(lambda: is_stored(dispatcher))
        stored = len(dispatcher.log.events(limit=250))
        # Each was stored once or not at all.
        assert 3 <= stored <= 20
        dispatcher.close()


def is_stored(dispatcher):
    try:
        return dispatcher.emit("shop", "paid", "again")
    except StoreError:
        return None


@pytest.mark.slow
def test_first_emit_of_a_process_ends_while_the_server_is_frozen(schema):
    with postgres_server.serving() as server:
        dispatcher = Dispatcher(PostgresStore(f"{server.dsn}?connect_timeout=2", schema=schema))
        server.freeze()
        try:
            with (
                ThreadPoolExecutor(1) as threads,
                pytest.raises(StoreError, match=r"port \d+: connection timeout expired"),
            ):
                threads.submit(EMITS["emit"], dispatcher).result(HANG)
        finally:
            server.thaw()
        dispatcher.close()


@contextmanager
def proxied(dsn):
    """Put a proxy in front of the server; yield it and the dsn that leads through it."""
    server = psycopg.conninfo.conninfo_to_dict(dsn)
    with Proxy(server["host"], int(server["port"])) as proxy:
        yield proxy, psycopg.conninfo.make_conninfo(dsn, host="127.0.0.1", port=proxy.port)


def test_vanished_packets_delay_no_emit_beyond_its_deadline(new_dispatcher_of, postgres_dsn):
    with proxied(postgres_dsn) as (proxy, dsn):
        dispatcher = new_dispatcher_of(dsn)
        proxy.freeze()
        errors = refused(dispatcher)
    check_refusals(errors)
    assert any("PostgreSQL at 127.0.0.1 port" in str(error) for error in errors)


def test_lock_holds_no_emit_beyond_its_deadline(new_dispatcher_of, postgres_dsn, schema):
    dispatcher = new_dispatcher_of(postgres_dsn)
    with psycopg.connect(postgres_dsn) as host:
        host.execute(f'LOCK TABLE "{schema}".events IN ACCESS EXCLUSIVE MODE')
        check_refusals(refused(dispatcher))
        host.rollback()
    wait_for(lambda: is_stored(dispatcher))


def test_locked_file_of_sqlite_holds_no_emit_beyond_its_deadline(tmp_path):
    import sqlite3

    dispatcher = Dispatcher(SQLiteStore(tmp_path / "webhooks.db", busy_timeout=30, emit_deadline=DEADLINE))
    dispatcher.emit("shop", "paid", 0)
    host = sqlite3.connect(tmp_path / "webhooks.db", isolation_level=None)
    host.execute("BEGIN IMMEDIATE")
    check_refusals(refused(dispatcher))
    host.execute("ROLLBACK")
    assert dispatcher.emit("shop", "paid", "again")
    dispatcher.close()
    host.close()


def test_emit_during_retries_of_others_joins_their_next_try(new_store, monkeypatch):
    store = new_store()
    emit(store)
    tries, once, came = [], emitter._Queue._once, threading.Event()

    def refuse_twice(queue, events, *, repeated):
        tries.append(len(events))
        if len(tries) <= 2:
            came.wait(20)
            raise psycopg.OperationalError("refused")
        return once(queue, events, repeated=repeated)

    monkeypatch.setattr(emitter._Queue, "_once", refuse_twice)
    first = store.submit_events([make_event(store)])
    wait_for(lambda: tries)
    second = store.submit_events([make_event(store)])
    came.set()
    ids = {one.id for submitted in (first, second) for one in submitted.result(20)}
    assert tries == [1, 2, 2]
    assert ids <= stored_ids(store)


def test_request_to_an_unresponsive_server_is_repeated_on_another_connection(new_store, postgres_dsn, monkeypatch):
    monkeypatch.setattr(emitter, "_ANSWER_SECONDS", 0.3)
    with proxied(postgres_dsn) as (proxy, dsn):
        store = new_store(dsn)
        emit(store)
        proxy.freeze_open()
        event = make_event(store)
        [outcome] = emit(store, event)
        assert outcome.id == event.id
        emit(store)
        assert store._postgres._unchecked().emitter._plain._unanswered is None
    assert len(stored_ids(new_store())) == 3


def test_one_connection_at_a_time_is_left_to_an_unresponsive_server(new_store, postgres_dsn, schema, monkeypatch):
    monkeypatch.setattr(emitter, "_ANSWER_SECONDS", 0.2)
    name = "unihooks_unanswered"
    store = new_store(psycopg.conninfo.make_conninfo(postgres_dsn, application_name=name), emit_deadline=2)
    emit(store)
    with psycopg.connect(postgres_dsn) as host, psycopg.connect(postgres_dsn, autocommit=True) as admin:
        host.execute(f'LOCK TABLE "{schema}".events IN ACCESS EXCLUSIVE MODE')
        with pytest.raises(StoreError, match="not confirmed within 2 s"):
            store.insert_events([make_event(store)])
        assert sessions(admin, name) <= 3
        host.rollback()
    assert emit(store)


def sessions(admin, name):
    [(count,)] = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]).fetchall()
    return count


@pytest.fixture
def brief_rest(monkeypatch):
    """Make connections idle after a moment instead of half a minute."""
    for module in (pool, emitter):
        monkeypatch.setattr(module, "REST_SECONDS", 0.3)


def test_idle_process_that_emits_keeps_one_connection(new_dispatcher_of, postgres_dsn, admin, brief_rest, schema):
    name = f"{schema}_emits"
    dispatcher = new_dispatcher_of(psycopg.conninfo.make_conninfo(postgres_dsn, application_name=name))
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: dispatcher.webhooks.list(), range(12)))
    dispatcher.emit_many(KEYED)
    dispatcher.emit("shop", "paid", 1)
    assert sessions(admin, name) > 1
    wait_for(lambda: sessions(admin, name) <= 1)
    assert dispatcher.emit("shop", "paid", 2)


def test_process_under_load_leaves_connections_to_administrators(new_dispatcher_of, postgres_dsn, admin, schema):
    """The docs divide a server's `max_connections` by this limit."""
    name = f"{schema}_busy"
    dispatcher = new_dispatcher_of(psycopg.conninfo.make_conninfo(postgres_dsn, application_name=name))

    def use(number):
        for turn in range(10):
            dispatcher.emit("shop", "paid", turn)
            dispatcher.emit_many([Emission("shop", "paid", 1, idempotency_key=f"{number} {turn}")])
            dispatcher.log.deliveries()
        return number

    with dispatcher.running(), ThreadPoolExecutor(24) as threads:
        used = [threads.submit(use, number) for number in range(24)]
        seen = [sessions(admin, name)]
        while not all(one.done() for one in used):
            seen.append(sessions(admin, name))
    assert [one.result() for one in used] == list(range(24))
    assert 8 < max(seen) <= 11


def test_worker_at_rest_keeps_two_connections(new_dispatcher_of, postgres_dsn, admin, brief_rest, schema):
    name = f"{schema}_works"
    dispatcher = new_dispatcher_of(psycopg.conninfo.make_conninfo(postgres_dsn, application_name=name))
    with dispatcher.running():
        signals = dispatcher.settings.store._postgres._unchecked().signals
        wait_for(lambda: signals.is_listening)
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda _: dispatcher.webhooks.list(), range(12)))
        dispatcher.emit("shop", "paid", 1)
        wait_for(lambda: sessions(admin, name) == 2)
