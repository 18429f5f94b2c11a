"""The rules that PostgreSQL adds to the contract: schema, connections, transactions, processes."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

import psycopg
import pytest
from postgres_scene import add_webhook, cut_all, emit, make_event, plan, stored_ids
from postgres_worker import delivered
from waiting import wait_for

from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._contract.planning import NewEvent
from unihooks._model.webhooks import ActiveInterval
from unihooks.abc import Capacity, DeliveryFilter, Lease, Window
from unihooks.exceptions import NotFound, StoreError
from unihooks.stores import PostgresStore
from unihooks.stores.postgres import database, emitter, prepared
from unihooks.stores.postgres import store as _store
from unihooks.stores.sql import maintenance, matching
from unihooks.stores.sql.schema import SCHEMA_VERSION, Migrations
from unihooks.stores.sql.statements import Selection

pytestmark = pytest.mark.postgres

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'unihooks'"


def activate(store, webhook):
    def revise(current):
        from attrs import evolve

        at = store.now()
        interval = ActiveInterval(activated_at=at, activated_mark=new_id("mrk_", at))
        return evolve(current, status="active", interval=interval)

    return store.revise_webhook(webhook.tenant, webhook.id, revise)


def work_for_a_while(store):
    add_webhook(store)
    for _ in range(12):
        emit(store)
        store.work()
        store.record([delivered(store, one) for one in plan(store, capacity=5).claimed])
        emit(store)
        plan(store)
        store.claim(Lease(token=2, seconds=0), Capacity(5, 5))


def kept_plans(store):
    """Return the plans that the store's connections have cached, as texts."""
    plans = []
    # The notifier may have had a connection of its own.
    for connection in store._postgres._unchecked().pool._idle:
        kept = connection.execute(
            "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements WHERE generic_plans > 0"
        ).fetchall()
        calls = [f"{name}({', '.join(['NULL'] * count)})" if count else name for name, count in kept]
        found = [connection.execute(f"EXPLAIN EXECUTE {call}").fetchall() for call in calls]
        plans += ["\n".join(line for (line,) in lines) for lines in found]
    return plans


def shape(admin, schema):
    """Describe the tables and indexes of a schema, except the partitions of days."""
    for (name,) in admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = CAST(%s AS regnamespace) AND relkind = 'r' "
        "AND relname ~ '_[0-9]{8}$'",
        (schema,),
    ).fetchall():
        admin.execute(f"DROP TABLE {schema}.{name}")
    columns = admin.execute(
        "SELECT table_name, ordinal_position, column_name, data_type, collation_name, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 2",
        (schema,),
    ).fetchall()
    indexes = admin.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = %s", (schema,)).fetchall()
    settings = admin.execute(
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = CAST(%s AS regnamespace) AND relkind = 'r'",
        (schema,),
    ).fetchall()
    return columns, sorted(row[0].replace(schema, "") for row in indexes), sorted(settings)


class TestSchema:
    def test_printed_sql_makes_the_same_schema(self, store, admin, schema):
        assert store.migrate() == ["0001_initial"]
        whole = shape(admin, schema)
        admin.execute(f"DROP SCHEMA {schema} CASCADE")
        admin.execute(store.migration_sql())
        assert shape(admin, schema) == whole
        assert whole[0]
        admin.execute(f"DROP SCHEMA {schema} CASCADE")
        for statement in store.migration_statements():
            admin.execute(statement, prepare=True)  # which takes one statement alone
        assert shape(admin, schema) == whole
        assert store.migration_statements(since=SCHEMA_VERSION) == []

    def test_newest_migration_is_the_schema_version(self):
        [*_, newest] = database.MIGRATIONS.between(0, 9_999)
        assert int(newest[:4]) == SCHEMA_VERSION

    def test_printed_sql_is_all_that_a_store_needs(self, new_store, admin):
        store = new_store(migrate=False)
        with pytest.raises(StoreError, match="unihooks migrate"):
            store.work()
        admin.execute(store.migration_sql())
        emit(store)
        assert store.work().new_events
        assert store.migrate() == []
        assert store.migration_sql(since=SCHEMA_VERSION) == ""

    @pytest.mark.parametrize("versions", [{"since": 99}, {"until": 99}, {"since": -1}, {"until": -1}])
    def test_sql_of_a_version_that_is_not_known_is_refused(self, versions):
        with pytest.raises(StoreError, match="versions from 0 to"):
            _store.migration_sql(**versions)
        with pytest.raises(StoreError, match="versions from 0 to"):
            _store.migration_statements(**versions)

    def test_sql_between_versions_leads_to_the_last_of_them(self, monkeypatch, tmp_path):
        for name in ("0001_a.sql", "0002_b.sql", "0003_c.sql"):
            (tmp_path / name).write_text(f"{name};")
        monkeypatch.setattr(_store, "SCHEMA_VERSION", 3)
        monkeypatch.setattr(_store, "MIGRATIONS", Migrations(tmp_path))
        first = _store.migration_sql(until=2)
        assert "0002_b.sql;" in first
        assert ", 2, CAST" in first
        assert "0003" not in first
        second = _store.migration_sql("mine", since=2, until=3)
        assert second == '-- 0003_c.sql\n0003_c.sql;\n\nUPDATE "mine".store SET schema_version = 3;\n'

    def test_newer_schema_is_refused(self, store, admin, schema):
        store.migrate()
        admin.execute(f"UPDATE {schema}.store SET schema_version = 99")
        with pytest.raises(StoreError, match="install a newer unihooks"):
            store.work()

    @pytest.mark.parametrize("schema", ['un"usual name', "UPPER", "ünïcode"])
    def test_any_name_of_a_schema_will_do(self, store, admin, schema):
        quoted = '"' + schema.replace('"', '""') + '"'
        try:
            [event] = emit(store)
            assert stored_ids(store) == {event.id}
        finally:
            admin.execute(f"DROP SCHEMA IF EXISTS {quoted} CASCADE")

    @pytest.mark.parametrize("wrong", ["", "x" * 64, "a\0b"])
    def test_impossible_name_of_a_schema_is_refused(self, postgres_dsn, wrong):
        with pytest.raises(StoreError, match="schema"):
            PostgresStore(postgres_dsn, schema=wrong)

    def test_stores_that_start_at_once_make_one_schema(self, new_store):
        stores = [new_store() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(emit, stores))
        assert len(stored_ids(stores[0])) == 6


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_that_cannot_hold_every_text_is_refused_at_first_use(admin, encoding):
    name = f"encoded_{os.getpid()}"
    places = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' {places}")
    store = PostgresStore(psycopg.conninfo.make_conninfo(admin.info.dsn, dbname=name))
    with psycopg.connect(admin.info.dsn, dbname=name) as host:
        for verb in (store.migrate, store.work, store.now, lambda: emit(store), lambda: emit_on(store, host)):
            with pytest.raises(StoreError, match=f"encoding is {encoding}.*ENCODING 'UTF8'"):
                verb()
    store.close()
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def emit_on(store, connection):
    return store.emit_on(connection, NewEvent(new_id("evt_", 1), "default", "shop", "paid", b"1", 1))


def test_role_that_only_emits_needs_no_more_than_the_documentation_says(store, admin, schema, postgres_dsn):
    store.migrate()
    role = f"{schema}_host"
    admin.execute(f"CREATE ROLE {role}")
    try:
        admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        admin.execute(f"GRANT SELECT ON {schema}.store TO {role}")
        admin.execute(f"GRANT SELECT, INSERT ON {schema}.events, {schema}.new_events TO {role}")
        admin.execute(f"GRANT SELECT, INSERT, UPDATE ON {schema}.event_keys TO {role}")
        with psycopg.connect(postgres_dsn) as host:
            host.execute(f"SET ROLE {role}")
            store.emit_on(host, make_event(store))
            for _ in range(2):
                store.emit_on(host, make_event(store, idempotency_key="k", digest=b"d"))
        assert len(stored_ids(store)) == 2
    finally:
        admin.execute(f"DROP OWNED BY {role}")
        admin.execute(f"DROP ROLE {role}")


class TestConnections:
    def test_missing_driver_names_the_extra(self, postgres_dsn, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(StoreError, match=r"unihooks\[postgres\]"):
            PostgresStore(postgres_dsn)

    def test_unreachable_server_is_a_store_error_without_the_password(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            dsn = f"postgresql://me:s3cr3t@127.0.0.1:{probe.getsockname()[1]}/db"
            store = PostgresStore(dsn)
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                store.work()
            assert "s3cr3t" not in str(caught.value) + repr(store)
            store.close()

    def test_settings_of_the_server_do_not_matter(self, new_store, postgres_dsn):
        options = "-c%20search_path%3Dnowhere%20-c%20default_transaction_isolation%3Dserializable"
        store = new_store(f"{postgres_dsn}?options={options}")
        add_webhook(store)
        emit(store)
        assert len(plan(store, capacity=10).claimed) == 1

    def test_calls_work_on_after_every_connection_was_cut(self, store, admin):
        webhook = add_webhook(store)
        [first] = emit(store)
        cut_all(admin)
        assert store.work().new_events
        cut_all(admin)
        assert store.get_webhook("default", webhook.id).id == webhook.id
        cut_all(admin)
        assert plan(store).deliveries == 1
        cut_all(admin)
        [second] = emit(store)
        assert stored_ids(store) == {first.id, second.id}

    def test_event_whose_confirmation_was_lost_is_stored_once(self, store):
        event = make_event(store)
        keyed = make_event(store, idempotency_key="k", digest=b"d")
        emit(store, event)
        emit(store, keyed)
        emitter = store._postgres._unchecked().emitter
        for queue, one in ((emitter._plain, event), (emitter._keyed, keyed)):
            [outcome] = queue._once([one], repeated=True)
            assert outcome.id == one.id
        assert stored_ids(store) == {event.id, keyed.id}

    def test_store_that_is_closed_while_it_inserts_tells_of_it_and_ends_in_order(self, store, monkeypatch):
        raised = []
        monkeypatch.setattr(threading, "excepthook", lambda told: raised.append(told.exc_value))
        emit(store)
        submitted = store.submit_events([make_event(store)])
        store.close()
        assert len(submitted.result(30)) == 1
        assert raised == []

    def test_transaction_that_broke_is_an_error_and_the_next_call_works(self, store, admin):
        webhook = add_webhook(store)

        def revise(current):
            cut_all(admin)
            return current

        with pytest.raises(StoreError, match="connection was lost"):
            store.revise_webhook("default", webhook.id, revise)
        store.delete_webhook("default", webhook.id)
        with pytest.raises(NotFound):
            store.get_webhook("default", webhook.id)

    def test_transaction_that_met_a_deadlock_is_run_again(self, store, postgres_dsn, schema):
        tries = []

        def work(it):
            tries.append(it)
            if len(tries) < 3:
                raise psycopg.errors.DeadlockDetected
            return it.fetch("store_id")[0][0]

        assert store._postgres.write(work) == store._postgres.store_id
        assert len(tries) == 3

    def test_transaction_in_which_a_process_stands_still_is_ended_and_run_again(self, store, monkeypatch):
        shorter = [text.replace("'5s'", "'100ms'") for text in database._WRITE]
        monkeypatch.setattr(database, "_WRITE", shorter)
        webhook = add_webhook(store)
        tries = []

        def work(it):
            it.execute("SELECT 1 FROM unihooks.webhooks FOR UPDATE")
            tries.append(it)
            if len(tries) == 1:
                # It is frozen while it holds a lock: another transaction waits no longer than this.
                store.delete_webhook("default", webhook.id)
            return it.count("webhooks", Selection(values={"tenant": webhook.tenant}))

        assert store._postgres.write(work) == 0
        assert len(tries) == 2

    def test_server_that_vanishes_is_noticed_soon_unless_the_dsn_says_otherwise(self, new_store, postgres_dsn):
        usual, own = new_store(), new_store(f"{postgres_dsn}?keepalives_idle=99&application_name=shop")
        for store, expected in ((usual, ("10", "5000", "unihooks")), (own, ("99", "5000", "shop"))):
            with store._postgres._unchecked().pool.connect() as connection:
                given = connection.info.get_parameters()
            assert (given["keepalives_idle"], given["tcp_user_timeout"], given["application_name"]) == expected

    def test_server_notices_a_host_that_vanishes_as_soon_unless_the_dsn_says_otherwise(self, new_store, postgres_dsn):
        options = "keepalives_count=7&options=-c%20client_connection_check_interval%3D5s"
        usual, own, without = (
            new_store(),
            new_store(f"{postgres_dsn}?{options}"),
            new_store(f"{postgres_dsn}?keepalives=0"),
        )
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
        asked = ", ".join(f"current_setting('{one}')" for one in (*names, "client_connection_check_interval"))
        expected = {
            usual: ("10", "3", "3", "5000", "2s"),
            own: ("10", "3", "7", "5000", "5s"),
        }
        for store in (usual, own, without):
            with store._postgres._unchecked().pool.connect() as connection:
                [told] = connection.execute(f"SELECT {asked}").fetchall()
            assert told == expected.get(store, told)
        assert told[0] != "10"

    def test_repeated_statements_are_prepared_once_on_a_connection(self, store):
        work_for_a_while(store)
        with store._postgres._unchecked().pool.lent() as connection:
            prepared = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
        assert len({row[0] for row in prepared}) == len(prepared) > 10

    def test_two_statements_that_are_named_at_once_get_two_names(self, postgres_dsn, monkeypatch):
        both = threading.Barrier(2)

        class Slow:
            def sub(self, *arguments):
                both.wait(20)
                return pattern.sub(*arguments)

        pattern, texts = (
            prepared._PARAMETER,
            ["SELECT 'A', CAST(%(a)s AS integer)", "SELECT 'B', CAST(%(a)s AS integer)"],
        )
        monkeypatch.setattr(prepared, "_PARAMETER", Slow())
        prepared._named.cache_clear()
        with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
            connections = [stack.enter_context(psycopg.connect(postgres_dsn, autocommit=True)) for _ in texts]
            for connection in connections:
                prepared.note_direct(connection)
            calls = list(pool.map(prepared.called, connections, texts))
            assert len(set(calls)) == 2
            for connection in connections:
                for text, letter in zip(texts, "AB", strict=True):
                    call = prepared.called(connection, text)
                    assert psycopg.ClientCursor(connection).execute(call, {"a": 1}).fetchall() == [(letter, 1)]

    def test_an_insert_that_commits_while_its_repetition_waits_is_no_failure(
        self, store, schema, postgres_dsn, monkeypatch
    ):
        emit(store)
        event, once = make_event(store), emitter._Queue._once
        # As after a connection that broke before the response arrived: the server may be about to commit.
        monkeypatch.setattr(emitter._Queue, "_once", lambda self, events, **_: once(self, events, repeated=True))
        columns = "tenant, id, product, event_type, body, created_at"
        with psycopg.connect(postgres_dsn) as first, psycopg.connect(postgres_dsn, autocommit=True) as admin:
            values = (event.tenant, event.id, event.product, event.event_type, event.body, 1)
            first.execute(f'INSERT INTO "{schema}".events ({columns}) VALUES (%s, %s, %s, %s, %s, %s)', values)
            submitted = store.submit_events([event])
            wait_for(lambda: admin.execute(WAITING).fetchone())
            first.commit()
            [outcome] = submitted.result(timeout=20)
        assert (outcome.id, outcome.created_at) == (event.id, from_us(1))
        assert len(stored_ids(store)) == 2

    def test_plans_that_are_kept_go_by_index(self, store):
        work_for_a_while(store)
        plans = kept_plans(store)
        assert len(plans) > 5
        assert "Seq Scan" not in "\n".join(plans)

    def test_plans_that_are_made_while_the_queue_is_empty_read_no_index_whole(self, store, schema, postgres_dsn):
        work_for_a_while(store)
        while claimed := store.claim(Lease(token=3, seconds=30), Capacity(50, 50)):
            store.record([delivered(store, one) for one in claimed])
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            # Now an index that begins with another column seems to cost no more than the right one.
            admin.execute(f'VACUUM ANALYZE "{schema}".deliveries_pending')
        work_for_a_while(store)
        lines = iter("\n".join(kept_plans(store)).splitlines())
        looked = [(line, next(lines)) for line in lines if " using deliveries_pending_webhook_id_id_idx" in line]
        assert all("webhook_id = " in condition for _, condition in looked), looked

    def test_store_works_again_after_close(self, store):
        emit(store)
        store.close()
        store.close()
        emit(store)
        assert len(stored_ids(store)) == 2

    def test_more_threads_than_connections_take_turns(self, new_store):
        store = new_store(max_connections=2)
        with ThreadPoolExecutor(16) as pool:
            webhooks = list(pool.map(lambda _: add_webhook(store), range(32)))
        assert len(webhooks) == 32

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_store_used_before_a_fork_works_on_both_sides(self, store):
        emit(store)
        assert store.look_seconds()
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                emit(store)
                assert len(stored_ids(store)) >= 2
                store.close()
                failed = 0
            finally:
                os._exit(failed)
        emit(store)
        assert os.waitpid(child, 0)[1] == 0
        emit(store)
        assert len(stored_ids(store)) == 4


class TestEmitting:
    def test_event_that_cannot_be_stored_fails_alone(self, store):
        good, bad, twice = make_event(store), make_event(store, body=None), make_event(store)
        odd, nul = make_event(store, tenant="\ud800"), make_event(store, tenant="a\0b")
        outcomes = emit(store, good, bad, twice, twice, odd, nul)
        assert [isinstance(one, StoreError) for one in outcomes] == [False, True, False, True, True, True]
        assert stored_ids(store) == {good.id, twice.id}

    def test_many_threads_emit_at_once(self, store):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: emit(store), range(400)))
        assert len(stored_ids(store)) == 400

    def test_key_that_an_open_transaction_holds_delays_no_other_event(self, store, postgres_dsn):
        with psycopg.connect(postgres_dsn) as host:
            store.emit_on(host, make_event(store, idempotency_key="k", digest=b"d"))
            waiting = store.submit_events([make_event(store, idempotency_key="k", digest=b"d")])
            emit(store)
            assert not waiting.done()
            host.commit()
        [outcome] = waiting.result(timeout=10)
        assert outcome.id in stored_ids(store)
        assert len(stored_ids(store)) == 2

    def test_all_times_are_the_servers(self, store, admin, monkeypatch):
        store.now()
        monkeypatch.setattr(time, "time", lambda: 0.0)
        [event] = emit(store)
        told = admin.execute("SELECT clock_timestamp()").fetchone()[0]
        assert abs((told - event.created_at).total_seconds()) < 5
        assert abs(store.now() / 1e6 - told.timestamp()) < 5


def test_a_claim_ends_if_another_transaction_holds_everything_due(store, postgres_dsn, schema):
    add_webhook(store)
    emit(store)
    plan(store)
    with psycopg.connect(postgres_dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute(f"SELECT 1 FROM {schema}.deliveries_pending FOR UPDATE")
        # A full batch may look like the first of several.
        claiming = pool.submit(store.claim, Lease(token=2, seconds=30), Capacity(1, 1))
        wait([claiming], 30)
        other.rollback()
        ended = claiming.done()
        assert claiming.result() == []
        assert ended
    assert len(store.claim(Lease(token=3, seconds=30), Capacity(1, 1))) == 1


class TestPlanning:
    def test_transaction_that_inserted_first_and_commits_last_is_planned(self, store, postgres_dsn):
        add_webhook(store)
        with psycopg.connect(postgres_dsn) as host:
            late = store.emit_on(host, make_event(store))
            [early] = emit(store)
            assert late.id < early.id
            assert plan(store).deliveries == 1
            assert not store.work().new_events
            host.commit()
        assert store.work().new_events
        assert plan(store).deliveries == 1
        found = store.list_deliveries("default", DeliveryFilter(), Window(limit=10))
        assert {one.event_id for one in found} == {late.id, early.id}

    def test_activation_elsewhere_is_seen_by_a_worker_whose_cache_is_older(self, new_store):
        one, two, three = new_store(), new_store(), new_store()
        webhook = add_webhook(one, active=False)
        for _ in range(20):
            emit(two)
            assert plan(three).deliveries == 0
            activate(one, webhook)
            emit(two)
            assert plan(three).deliveries == 1
            one.revise_webhook("default", webhook.id, lambda current: deactivated(one, current))

    def test_events_that_another_worker_plans_are_left_to_it(self, store, admin, schema):
        add_webhook(store)
        emit(store, *[make_event(store) for _ in range(4)])
        with psycopg.connect(admin.info.dsn) as other:
            other.execute(f"SELECT 1 FROM {schema}.new_events ORDER BY place LIMIT 2 FOR UPDATE")
            planned = plan(store)
            assert (planned.events, planned.more) == (2, True)
        assert plan(store).events == 2

    def test_large_fan_out_takes_several_calls_and_misses_no_endpoint(self, store, monkeypatch):
        monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", 60)
        webhooks = [add_webhook(store, endpoints=40) for _ in range(60)]
        [event] = emit(store)
        made, calls, more = 0, 0, True
        while more:
            planned = plan(store)
            made, calls, more = made + planned.deliveries, calls + 1, planned.more
            assert planned.deliveries <= 540
        assert (made, calls) == (2_400, 10)
        found = store.list_deliveries("default", DeliveryFilter(event_id=event.id), Window(limit=5_000))
        assert {item.endpoint_id for item in found} == {item.id for one in webhooks for item in one.endpoints}

    def test_events_of_every_tenant_are_planned_beside_a_burst(self, store):
        emit(store, *[make_event(store, tenant="a") for _ in range(2_000)])
        for tenant in ("0", "b"):
            add_webhook(store, tenant=tenant)
            emit(store, make_event(store, tenant=tenant))
        planned = plan(store, capacity=10)
        assert {item.tenant for item in planned.claimed} == {"0", "b"}

    def test_bytes_of_any_kind_come_back_from_a_claim(self, store):
        add_webhook(store)
        bodies = [b"\x00", b'"\xc3\xa9"', bytes(range(256)), b"{}", b"x" * 200_000]
        emit(store, *[make_event(store, body=body) for body in bodies])
        # On a busy machine, one call has no time for all.
        while plan(store).more:
            pass
        claimed = store.claim(Lease(token=2, seconds=30), Capacity(10, 10))
        assert sorted(item.body for item in claimed) == sorted(bodies)

    @pytest.mark.parametrize("chore", [maintenance.prune, maintenance.forget_keys])
    def test_running_chore_blocks_no_emit_plan_or_claim(self, new_store, chore):
        store, cleaner = new_store(), new_store()
        add_webhook(store)
        emit(store, *[make_event(store, idempotency_key=f"k{number}", digest=b"d") for number in range(4)])
        record_all(store)

        def work(it):
            taken = chore(it, it.now, 2)
            assert (taken[0] if chore is maintenance.prune else taken) == 2
            # It has not committed yet, and holds its locks.
            [event] = emit(store)
            planned = plan(store, capacity=10)
            assert [one.event_id for one in planned.claimed] == [event.id]
            store.release(planned.claimed)
            assert len(store.claim(Lease(token=3, seconds=30), Capacity(10, 10))) == 1
            assert getattr(store, chore.__name__)(it.now, 10) == 2

        cleaner._postgres.write(work)

    def test_due_lane_of_another_tenant_is_claimed_beside_many(self, store):
        add_webhook(store, tenant="busy", endpoints=50)
        add_webhook(store, tenant="calm")
        emit(store, make_event(store, tenant="busy"))
        plan(store)
        emit(store, make_event(store, tenant="calm"))
        plan(store)
        claimed = store.claim(Lease(token=2, seconds=30), Capacity(4, 2))
        assert len(claimed) == 4
        assert {item.tenant for item in claimed} == {"busy", "calm"}


def record_all(store):
    """Plan and deliver new events."""
    claimed = plan(store, capacity=10).claimed
    assert len(store.record([delivered(store, one) for one in claimed]).accepted) == len(claimed)


def deactivated(store, current):
    from attrs import evolve

    at = store.now()
    interval = evolve(current.interval, deactivated_at=at, deactivated_mark=new_id("mrk_", at))
    return evolve(current, status="inactive", interval=interval)
