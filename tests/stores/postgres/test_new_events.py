"""An event is written once: only its small row in the queue is inserted and deleted."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from postgres_scene import add_webhook, emit, make_event, plan
from waiting import wait_for

from unihooks.stores.postgres.database import _BY_INDEX, PostgresDatabase, _setting
from unihooks.stores.postgres.transaction import PostgresTransaction
from unihooks.stores.sql import matching, planning

pytestmark = pytest.mark.postgres

_CHANGES = re.compile(r"(DELETE FROM|UPDATE) \S+\.new_events")
_WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'unihooks'"
_VERSIONS = 'SELECT id, ctid::text, xmin::text, xmax::text FROM "{}".events ORDER BY id'


def fail(*_, **__):
    raise LookupError("no such thing")


@pytest.fixture
def versions(admin, schema):
    """Return the current versions of the events' rows."""
    return lambda: admin.execute(_VERSIONS.format(schema)).fetchall()


@pytest.fixture
def queue(admin, schema):
    """Return the rows in the queue of new events."""
    columns = "place, event_id, plan_tries"
    return lambda: admin.execute(f'SELECT {columns} FROM "{schema}".new_events ORDER BY place').fetchall()


@pytest.mark.parametrize("is_at_once", [True, False])
def test_planning_leaves_the_rows_of_events_as_they_were_written(store, versions, queue, monkeypatch, is_at_once):
    add_webhook(store)
    emit(store)
    plan(store, capacity=10)
    if not is_at_once:
        monkeypatch.setattr(PostgresDatabase, "at_once", lambda *_, **__: None)
    events = [make_event(store) for _ in range(3)]
    emit(store, *events)
    before = versions()
    assert queue() == [(one.id, None, 0) for one in events]
    assert plan(store, capacity=10).events == 3
    assert (versions(), queue()) == (before, [])


def test_an_event_of_large_fan_out_stays_as_it_is_and_its_place_moves(store, versions, queue, monkeypatch):
    monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", 60)
    for _ in range(7):
        add_webhook(store, endpoints=40)
    [event] = emit(store)
    before = versions()
    assert plan(store).more
    [later] = emit(store)
    [(place, event_id, _), (_, none, _)] = queue()
    assert (event_id, none, event.id < place < later.id) == (event.id, None, True)
    while plan(store).more:
        pass
    assert versions()[:1] == before
    assert queue() == []


def test_an_event_is_written_again_only_when_it_is_set_aside(store, versions, queue, monkeypatch):
    for module in (planning, matching):
        monkeypatch.setattr(module, "plan_event", fail)
    add_webhook(store)
    [event] = emit(store)
    before = versions()
    for tries in range(1, 5):
        plan(store)
        [(_, event_id, counted)] = queue()
        assert (event_id, counted, versions()) == (event.id, tries, before)
    plan(store)
    assert queue() == []
    assert versions() != before


def test_a_key_that_is_used_again_leaves_the_event_as_it_is(store, versions, queue, postgres_dsn):
    once = {"idempotency_key": "k", "digest": b"d"}
    [event] = emit(store, make_event(store, **once))
    before = versions()
    assert emit(store, make_event(store, **once)) == [event]
    with psycopg.connect(postgres_dsn) as host:
        assert store.emit_on(host, make_event(store, **once)) == event
    assert (versions(), queue()) == (before, [(event.id, None, 0)])


def test_planning_writes_no_payload_to_the_write_ahead_log(store, admin):
    payload = 2_000
    emit(store)
    plan(store)
    emit(store, *[make_event(store, body=b'"%s"' % (b"x%d" % n * payload)[:payload]) for n in range(100, 300)])
    before = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    assert plan(store, limit=200).events == 200
    [(written,)] = admin.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", before).fetchall()
    assert written < 200 * payload / 2


@pytest.mark.parametrize("name", ["event_bodies", "times_of_events", "set_aside", "prune_events"])
def test_rows_of_many_tenants_are_found_each_by_its_own_key(store, name):
    events = [make_event(store, tenant=f"tenant {n}") for n in range(200) for _ in range(3)]
    emit(store, *events)
    keys = [(one.tenant, one.id) for one in events[::3]]
    rows = [(*key, "why") for key in keys] if name == "set_aside" else keys
    bounds = {"lowest": events[0].id, "highest": events[-1].id} if name == "prune_events" else {}

    def buffers(tx: PostgresTransaction) -> int:
        text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {tx._schema.text(name)}"
        [(told,)] = tx._connection.execute(text.encode(), tx._parameters(name, rows, bounds)).fetchall()
        plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    # The number of tenants times the number of events would be 40,000 looks.
    assert store._postgres.write(buffers) < 25 * len(keys)


def changing(connection):
    """Return calls of the prepared statements that change the queue."""
    kept = connection.execute("SELECT name, cardinality(parameter_types), statement FROM pg_prepared_statements")
    return [f"{name}({', '.join(['NULL'] * count)})" for name, count, text in kept if _CHANGES.search(text)]


def test_plans_that_are_made_for_an_empty_queue_look_at_no_more_of_a_long_one(store, admin, schema, monkeypatch):
    add_webhook(store)
    admin.execute(f"VACUUM ANALYZE {schema}.new_events")
    for _ in range(8):
        emit(store)
        plan(store, capacity=10)
        emit(store)
        store._planner.forget()
        plan(store, capacity=10)
    for module in (planning, matching):
        monkeypatch.setattr(module, "plan_event", fail)
    emit(store)
    plan(store)
    with ExitStack() as stack:
        # If the pool has opened another connection meanwhile, one of them has made most of the plans.
        lent = [stack.enter_context(store._postgres._unchecked().pool.lent()) for _ in range(3)]
        calls, connection = max([(changing(one), one) for one in lent], key=lambda pair: len(pair[0]))
        connection.execute(f"BEGIN; {_setting(_BY_INDEX)}")
        plans = [str(connection.execute(f"EXPLAIN EXECUTE {call}").fetchall()) for call in calls]
    assert len(plans) == 3
    assert all("Tid Scan on new_events" in plan for plan in plans)


def test_an_event_erased_while_it_is_requeued_is_not_planned_further(store, admin, schema, queue, postgres_dsn):
    add_webhook(store)
    [event] = emit(store)
    with psycopg.connect(postgres_dsn) as planner, ThreadPoolExecutor(1) as pool:
        planner.execute(f'UPDATE "{schema}".new_events SET place = %s, event_id = place', [f"{event.id}~"])
        erasing = pool.submit(store.erase, event.tenant, event_ids=[event.id], limit=10)
        wait_for(lambda: admin.execute(_WAITING).fetchone())
        planner.commit()
        assert erasing.result(timeout=20) == (1, None)
    assert queue() == []
    assert plan(store).deliveries == 0
