"""An emit inside a host's transaction on PostgreSQL, for every kind of connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing

import pytest
from attrs import evolve
from host_scene import (
    Host,
    asyncpg_steps,
    make_event,
    sqlalchemy_engine,
    stored_ids,
)
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, scoped_session, sessionmaker

from unihooks.abc import EventFilter, Window
from unihooks.exceptions import IdempotencyConflict, StoreError

pytestmark = pytest.mark.postgres


def lead_nowhere(store):
    store.migrate()
    store.ready()
    texts = {name: text.replace(store._postgres.schema.quoted, '"nowhere"') for name, text in store._host.texts.items()}
    store._host = evolve(store._host, texts=texts)


class TestSynchronous:
    def test_event_is_stored_exactly_if_the_host_commits(self, store, host):
        store.emit_on(host.connection, make_event(store))
        host.rollback()
        event = store.emit_on(host.connection, make_event(store))
        assert stored_ids(store) == []
        host.commit()
        assert stored_ids(store) == [event.id]
        [found] = store.list_events("default", EventFilter(), Window(limit=10))
        assert (found.payload, found.created_at) == ({"n": "é"}, event.created_at)

    def test_savepoint_that_is_rolled_back_takes_its_event_along(self, store, host):
        kept = store.emit_on(host.connection, make_event(store))
        host.run("SAVEPOINT inner_one")
        store.emit_on(host.connection, make_event(store))
        host.run("ROLLBACK TO SAVEPOINT inner_one")
        host.commit()
        assert stored_ids(store) == [kept.id]

    def test_key_returns_the_first_event_and_a_conflict_leaves_the_transaction_usable(self, store, host):
        first = store.emit_on(host.connection, make_event(store, idempotency_key="k", digest=b"one"))
        again = store.emit_on(host.connection, make_event(store, idempotency_key="k", digest=b"one"))
        assert (again.id, again.created_at) == (first.id, first.created_at)
        with pytest.raises(IdempotencyConflict):
            store.emit_on(host.connection, make_event(store, idempotency_key="k", digest=b"two"))
        host.run("SELECT 1")
        host.commit()
        assert stored_ids(store) == [first.id]

    def test_a_subject_is_kept_with_a_key_and_without(self, store, host):
        plain = store.emit_on(host.connection, make_event(store, subject="50 % off"))
        keyed = store.emit_on(host.connection, make_event(store, subject="order/7", idempotency_key="k", digest=b"one"))
        host.commit()
        found = {one.id: one.subject for one in store.list_events("default", EventFilter(), Window(limit=10))}
        assert found == {plain.id: "50 % off", keyed.id: "order/7"}

    def test_search_path_does_not_matter(self, store, host):
        host.run("SET search_path = pg_temp")
        event = store.emit_on(host.connection, make_event(store))
        host.commit()
        assert stored_ids(store) == [event.id]

    def test_schema_that_is_not_there_is_another_database(self, postgres_dsn, store, host):
        lead_nowhere(store)
        with pytest.raises(StoreError, match="another database"):
            store.emit_on(host.connection, make_event(store))
        host.rollback()

    def test_store_of_another_id_is_another_database(self, store, host):
        assert not stored_ids(store)
        store._postgres._unchecked().store_id = "sto_other"
        with pytest.raises(StoreError, match="another database"):
            store.emit_on(host.connection, make_event(store))
        host.run("SELECT 1")
        host.rollback()


def test_autocommit_stores_at_once(store, postgres_dsn):
    import psycopg

    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        event = store.emit_on(connection, make_event(store))
        assert stored_ids(store) == [event.id]


def test_aborted_transaction_is_a_store_error(store, postgres_dsn):
    import psycopg

    with psycopg.connect(postgres_dsn) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(StoreError, match="could not be inserted"):
            store.emit_on(connection, make_event(store))
        connection.rollback()


def encoded_psycopg(dsn, encoding):
    import psycopg

    return psycopg.connect(dsn, client_encoding=encoding)


def encoded_psycopg2(dsn, encoding):
    import psycopg2

    connection = psycopg2.connect(dsn)
    connection.set_client_encoding(encoding)
    return connection


@pytest.mark.parametrize(
    "connect, encoding, tenant",
    [
        (encoded_psycopg, "LATIN1", "Ünï"),
        (encoded_psycopg, "SQL_ASCII", "Ünï☕"),
        (encoded_psycopg, "EUC_JP", "acme"),
        (encoded_psycopg2, "LATIN1", "Ünï"),
        (encoded_psycopg2, "SQL_ASCII", "acme"),
        (encoded_psycopg2, "EUC_JP", "acme"),
    ],
)
def test_an_encoding_of_the_connection_changes_no_text(store, postgres_dsn, connect, encoding, tenant):
    new = evolve(make_event(store, idempotency_key=f"key {tenant}", digest=b"one"), tenant=tenant)
    with closing(connect(postgres_dsn, encoding)) as connection:
        event = store.emit_on(connection, new)
        assert store.emit_on(connection, new) == event
        connection.commit()
    assert (event.id, event.tenant) == (new.id, tenant)
    assert [one.id for one in store.list_events(tenant, EventFilter(), Window(limit=10))] == [new.id]


@pytest.mark.parametrize("connect", [encoded_psycopg, encoded_psycopg2])
def test_a_text_that_the_connection_has_no_place_for_is_a_store_error(store, postgres_dsn, connect):
    event = evolve(make_event(store), tenant="Ünï☕")
    with closing(connect(postgres_dsn, "LATIN1")) as connection:
        with pytest.raises(StoreError, match="client_encoding"):
            store.emit_on(connection, event)
        kept = store.emit_on(connection, make_event(store))
        connection.commit()
    assert stored_ids(store) == [kept.id]


def test_a_refusal_of_sqlalchemy_is_a_store_error(store, postgres_dsn):
    with sqlalchemy_engine(with_driver(postgres_dsn)) as engine:
        connection = engine.connect()
        connection.close()
        with pytest.raises(StoreError, match="closed"):
            store.emit_on(connection, make_event(store))


def with_driver(dsn):
    return dsn.replace("postgresql://", "postgresql+psycopg://")


def test_a_session_bound_per_model_finds_its_only_engine(store, postgres_dsn):
    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        number = mapped_column(Integer, primary_key=True)

    class Other(Base):
        __tablename__ = "others"
        number = mapped_column(Integer, primary_key=True)

    with sqlalchemy_engine(with_driver(postgres_dsn)) as engine, sqlalchemy_engine("sqlite://") as other:
        for session in (Session(binds={Order: engine}), scoped_session(sessionmaker(binds={Order: engine}))):
            event = store.emit_on(session, make_event(store))
            session.commit()
            session.close()
            assert event.id in stored_ids(store)
        with Session(binds={Order: engine, Other: other}) as session:
            with pytest.raises(TypeError, match="bind_arguments"):
                store.emit_on(session, make_event(store))
            store.emit_on(session.connection(bind_arguments={"mapper": Order}), make_event(store))


def test_a_connection_that_an_engine_lends_is_that_of_its_driver(store, postgres_dsn):
    with sqlalchemy_engine(with_driver(postgres_dsn)) as engine:
        connection = engine.raw_connection()
        event = store.emit_on(connection, make_event(store))
        connection.commit()
        connection.close()
    assert stored_ids(store) == [event.id]


def test_sqlite_connection_is_another_database(store):
    import sqlite3

    connection = sqlite3.connect(":memory:")
    with pytest.raises(StoreError, match="another database"):
        store.emit_on(connection, make_event(store))
    connection.close()


@asynccontextmanager
async def async_psycopg_host(dsn):
    import psycopg
    from psycopg.rows import dict_row

    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        yield Host(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def asyncpg_host(dsn):
    import asyncpg

    connection = await asyncpg.connect(dsn)
    await connection.execute("BEGIN")
    yield asyncpg_steps(connection)
    await connection.close()


@asynccontextmanager
async def asyncpg_pool_host(dsn):
    import asyncpg

    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await connection.execute("BEGIN")
        yield asyncpg_steps(connection)
        await connection.execute("ROLLBACK")


def sqlalchemy_async_host(driver, *, with_session):
    @asynccontextmanager
    async def host(dsn):
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

        engine = create_async_engine(dsn.replace("postgresql:", f"postgresql+{driver}:"))
        connection = AsyncSession(engine) if with_session else await engine.connect()
        yield Host(connection, lambda line: connection.execute(text(line)), connection.commit, connection.rollback)
        await connection.close()
        await engine.dispose()

    return host


ASYNC_HOSTS = {
    "psycopg": async_psycopg_host,
    "asyncpg": asyncpg_host,
    "asyncpg-pool": asyncpg_pool_host,
    "sqlalchemy-asyncpg": sqlalchemy_async_host("asyncpg", with_session=False),
    "sqlalchemy-psycopg": sqlalchemy_async_host("psycopg", with_session=False),
    "async-session": sqlalchemy_async_host("asyncpg", with_session=True),
}


@pytest.mark.parametrize("kind", ASYNC_HOSTS)
class TestAsynchronous:
    def test_event_is_stored_exactly_if_the_host_commits(self, store, postgres_dsn, kind):
        async def run():
            async with ASYNC_HOSTS[kind](postgres_dsn) as host:
                await store.aemit_on(host.connection, make_event(store))
                await host.rollback()
                event = await store.aemit_on(host.connection, make_event(store))
                await host.run("SAVEPOINT inner_one")
                await store.aemit_on(host.connection, make_event(store))
                await host.run("ROLLBACK TO SAVEPOINT inner_one")
                assert await asyncio.to_thread(stored_ids, store) == []
                await host.commit()
            return event

        event = asyncio.run(run())
        assert stored_ids(store) == [event.id]

    def test_conflict_leaves_the_transaction_usable(self, store, postgres_dsn, kind):
        async def run():
            async with ASYNC_HOSTS[kind](postgres_dsn) as host:
                first = await store.aemit_on(host.connection, make_event(store, idempotency_key="k", digest=b"one"))
                with pytest.raises(IdempotencyConflict):
                    await store.aemit_on(host.connection, make_event(store, idempotency_key="k", digest=b"two"))
                await host.commit()
            return first

        first = asyncio.run(run())
        assert stored_ids(store) == [first.id]

    def test_emit_without_await_is_told_to_use_aemit(self, store, postgres_dsn, kind):
        async def run():
            async with ASYNC_HOSTS[kind](postgres_dsn) as host:
                with pytest.raises(TypeError, match="aemit"):
                    store.emit_on(host.connection, make_event(store))

        asyncio.run(run())

    def test_other_database_is_an_error_that_says_so(self, store, postgres_dsn, kind):
        async def run():
            async with ASYNC_HOSTS[kind](postgres_dsn) as host:
                lead_nowhere(store)
                with pytest.raises(StoreError, match="another database"):
                    await store.aemit_on(host.connection, make_event(store))
                await host.rollback()

        asyncio.run(run())
