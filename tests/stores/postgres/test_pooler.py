"""Everything works through a pooler in transaction mode, which lends a connection for one transaction."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pgbouncer
import psycopg
import pytest
from host_scene import HOSTS, asyncpg_steps
from postgres_scene import add_webhook, emit, make_event, plan, stored_ids
from waiting import wait_for

from unihooks import Dispatcher, EventSubscription, Webhook
from unihooks.abc import Capacity, Lease
from unihooks.exceptions import IdempotencyConflict, StoreError
from unihooks.stores import PostgresStore
from unihooks.stores.postgres.signals import Hearing
from unihooks.testing import StoreContract

pytestmark = pytest.mark.postgres

if pgbouncer.binary() is None:
    # The module is skipped as a whole, so that the summary has one line for it instead of one for each test.
    pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)", allow_module_level=True)


@pytest.fixture(scope="session")
def pooled_dsn(postgres_dsn):
    with pgbouncer.pooling(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
def store(new_store, pooled_dsn):
    return new_store(pooled_dsn)


# The contract again, on another way to the same server.
@pytest.mark.slow
class TestPooledStore(StoreContract):
    @pytest.fixture
    def store(self, pooled_dsn, empty_schema):
        store = PostgresStore(pooled_dsn, schema=empty_schema)
        yield store
        store.close()


def test_worker_polls_behind_a_pooler(store):
    emit(store)
    assert store.look_seconds() == (0.01, 0.25)
    signals = store._postgres._unchecked().signals
    wait_for(lambda: signals._heard)
    assert signals._hearing is Hearing.NOTHING


def test_nothing_is_left_behind_on_the_servers_connections(store, admin, pooled_dsn):
    add_webhook(store)
    assert store.look_seconds()
    for _ in range(20):
        emit(store, make_event(store), make_event(store, idempotency_key="k", digest=b"d"))
        plan(store, capacity=5)
        store.claim(Lease(token=2, seconds=30), Capacity(10, 10))
    all_looked = Barrier(pgbouncer.SERVERS)
    with ThreadPoolExecutor(pgbouncer.SERVERS) as pool:
        for left in pool.map(lambda _: left_behind(pooled_dsn, all_looked), range(pgbouncer.SERVERS)):
            assert left == ([], [], "on", "on", "0", "0", [])


def left_behind(dsn, all_looked):
    with psycopg.connect(dsn) as connection:
        found = (
            rows(connection, "SELECT name FROM pg_prepared_statements"),
            rows(connection, "SELECT pg_listening_channels()"),
            *rows(connection, "SHOW enable_seqscan"),
            *rows(connection, "SHOW synchronous_commit"),
            *rows(connection, "SHOW tcp_user_timeout"),
            *rows(connection, "SHOW client_connection_check_interval"),
            rows(connection, "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
        )
        # The transactions overlap, so that each has a server's connection of its own.
        all_looked.wait(20)
        return found


def rows(connection, statement):
    return [row[0] for row in connection.execute(statement, prepare=False).fetchall()]


@pytest.mark.parametrize("kind", HOSTS)
def test_hosts_transactions_emit_through_it(store, pooled_dsn, kind):
    kept = []
    # There are more sessions than server connections, so that each transaction may get another one.
    with HOSTS[kind](pooled_dsn) as one, HOSTS[kind](pooled_dsn) as two:
        for turn in range(8):
            for host in (one, two):
                event = store.emit_on(host.connection, make_event(store))
                host.run("SAVEPOINT inner_one")
                store.emit_on(host.connection, make_event(store))
                host.run("ROLLBACK TO SAVEPOINT inner_one")
                if turn % 2:
                    host.rollback()
                else:
                    kept.append(event.id)
                    host.commit()
    assert stored_ids(store) == set(kept)


def test_asyncpg_without_its_statement_cache_emits_through_it(store, pooled_dsn):
    import asyncpg

    async def run():
        connections = [await asyncpg.connect(pooled_dsn, statement_cache_size=0) for _ in range(5)]
        ids = await asyncio.gather(*(emit_some(connection) for connection in connections))
        for connection in connections:
            await connection.close()
        return {id_ for some in ids for id_ in some}

    async def emit_some(connection):
        host = asyncpg_steps(connection)
        await connection.execute("BEGIN")
        ids = []
        for number in range(8):
            key = f"{id(connection)} {number}"
            event = await store.aemit_on(connection, make_event(store, idempotency_key=key, digest=b"d"))
            with pytest.raises(IdempotencyConflict):
                await store.aemit_on(connection, make_event(store, idempotency_key=key, digest=b"e"))
            ids.append(event.id)
            await host.commit()
        await connection.execute("ROLLBACK")
        return ids

    assert stored_ids(store) == set()
    ids = asyncio.run(run())
    assert stored_ids(store) == ids


def test_a_lost_statement_of_asyncpg_is_an_error_that_says_what_to_do(store, pooled_dsn):
    import asyncpg

    async def run():
        connection = await asyncpg.connect(pooled_dsn)
        others = [await asyncpg.connect(pooled_dsn, statement_cache_size=0) for _ in range(2)]
        try:
            for busy in (0, 1, 2):
                for other in others[:busy]:
                    await other.execute("BEGIN")
                await connection.execute("BEGIN")
                await store.aemit_on(connection, make_event(store))
                await connection.execute("ROLLBACK")
                for other in others[:busy]:
                    await other.execute("ROLLBACK")
        finally:
            for one in (connection, *others):
                await one.close()

    stored_ids(store)
    with pytest.raises(StoreError, match="statement_cache_size=0"):
        asyncio.run(run())


def test_events_are_delivered_by_a_worker_behind_it(receiver, pooled_dsn, schema):
    store = PostgresStore(pooled_dsn, schema=schema)
    with Dispatcher(store, targets=receiver.targets, ssl_context=receiver.ssl_context) as dispatcher:
        subscriptions = [EventSubscription("chat", "*")]
        webhook = Webhook(name="CRM sync", endpoints=[receiver.url_for("/crm")], subscriptions=subscriptions)
        dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
        with dispatcher.running(), psycopg.connect(pooled_dsn) as host:
            ids = []
            for number in range(20):
                ids.append(dispatcher.emit("chat", "message.received", number, connection=host).id)
                host.commit()
                ids.append(dispatcher.emit("chat", "message.received", number).id)
            requests = receiver.wait_for(40)
    assert sorted(one.headers["webhook-id"] for one in requests) == sorted(ids)
