"""The log is kept by days: partitions are created ahead, and dropped once they are past the retention."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import psycopg
import pytest
from postgres_scene import add_webhook, emit, make_event, plan, stored_ids
from waiting import wait_for

from unihooks import DeliveryState
from unihooks._base.times import DAY, from_us
from unihooks.abc import AttemptRow, Capacity, DeliveryFilter, Lease, Result, Window
from unihooks.stores import PostgresStore
from unihooks.stores.postgres import days as module
from unihooks.stores.postgres.days import _KINDS, _make_part, _name
from unihooks.stores.sql import log
from unihooks.stores.sql.transaction import Call
from unihooks.testing import FakeClock

pytestmark = pytest.mark.postgres

ALL = Window(limit=250)


@pytest.fixture
def now(store):
    store.migrate()
    return store.now()


@pytest.fixture
def sql(admin, schema):
    def run(text, *values):
        cursor = admin.execute(text.replace("unihooks.", f"{schema}."), values)
        return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def connect(admin):
    """Open connections of another user."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(psycopg.connect(admin.info.dsn))


@pytest.fixture
def days(sql, schema):
    """Return the existing days of a kind."""

    def of(kind):
        rows = sql("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'", schema)
        names = [name.rpartition("_") for (name,) in rows]
        return sorted(day for one, _, day in names if one == kind and day.isdigit())

    return of


@pytest.fixture
def past(store, now):
    """Set the clock back by days while a block runs, with partitions of those days."""

    @contextmanager
    def ago(count):
        at = (now // DAY - count) * DAY + DAY // 2
        store._database.write(lambda tx: [_make_part(tx, kind, at // DAY) for kind in _KINDS])
        with at_time(store, at):
            yield _name(at // DAY)

    return ago


@contextmanager
def at_time(store, at):
    store.use_clock(FakeClock(from_us(at)))
    try:
        yield
    finally:
        store.use_clock(None)


def claim(store, count=100):
    return store.claim(Lease(token=7, seconds=30), Capacity(count, count))


def result(claimed, state=DeliveryState.DELIVERED, **more):
    attempt = AttemptRow(claimed.attempt_count + 1, "https://h0.example/", 1, 2_000, 204, None, "[]", "[]", b"", ())
    return Result(claimed, attempt, state, **more)


def deliver(store, *claimed):
    return store.record([result(one) for one in claimed]).accepted


def deliveries(store, **filters):
    return store.list_deliveries("default", DeliveryFilter(**filters), ALL)


def attempts(store, delivery_id):
    return store.list_attempts("default", delivery_id, ALL)


def prune(store, now, **more):
    return store.prune(now - DAY, 100, **more)


def ahead(now, first=0):
    return [_name(now // DAY + count) for count in range(first, 4)]


# Making.


@pytest.mark.parametrize("kind", _KINDS)
def test_days_are_made_with_the_tables_for_today_and_the_next_ones(now, days, kind):
    assert days(kind) == ahead(now)


def test_workers_make_the_days_that_come(store, now, days, sql):
    last = ahead(now)[-1]
    sql(f"DROP TABLE unihooks.events_{last}, unihooks.attempts_{last}")
    store.prune(0, 100, exact=False)
    assert days("events") == days("attempts") == ahead(now)


def test_rows_without_a_day_are_kept_apart_and_found(store, now, sql):
    add_webhook(store)
    with at_time(store, now - 400 * DAY):
        emit(store)
    plan(store)
    assert sql("SELECT count(*) FROM unihooks.events_others") == [(1,)]
    assert len(stored_ids(store)) == 1


def test_rows_stored_before_their_partition_existed_are_moved_into_it(store, now, days, sql):
    tomorrow = ahead(now)[1]
    sql(f"DROP TABLE unihooks.events_{tomorrow}")
    with at_time(store, now + DAY):
        emit(store)
    before = stored_ids(store)
    store.prune(0, 100, exact=False)
    assert sql(f"SELECT count(*) FROM unihooks.events_{tomorrow}") == [(1,)]
    assert stored_ids(store) == before


@pytest.fixture
def worker(store, sql, schema, now):
    """Open the store as a user who may not create tables."""
    role = f"works_{schema}"
    sql(f"CREATE ROLE {role} LOGIN")
    sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    sql(f"DROP TABLE unihooks.events_{ahead(now)[-1]}")
    made = PostgresStore(psycopg.conninfo.make_conninfo(store._postgres._dsn, user=role), schema=schema, migrate=False)
    yield made
    made.close()
    sql(f"DROP OWNED BY {role}")
    sql(f"DROP ROLE {role}")


def test_a_user_who_may_not_create_tables_gets_one_warning_and_works_without_days(store, now, worker, caplog):
    with at_time(store, now - 9 * DAY):
        emit(store)
    plan(store)
    for _ in range(2):
        worker.prune(0, 100)
    assert worker.prune(now - DAY, 100, exact=False) == 1
    assert [one for one in caplog.messages if "CREATE on the schema" in one] == [caplog.messages[0]]


def test_a_table_that_takes_long_to_read_is_left_alone(store, now, sql, days, caplog):
    sql(f"DROP TABLE unihooks.events_{ahead(now)[-1]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_READ_AT_MOST", "SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)")
        store.prune(0, 100, exact=False)
    assert days("events") == ahead(now)[:-1]
    assert "names end in _others" in caplog.text


# Dropping.


def test_a_day_past_the_retention_goes_as_a_whole(store, now, past, days):
    add_webhook(store, endpoints=2)
    with past(3) as day:
        emit(store, *[make_event(store) for _ in range(5)])
        plan(store)
        deliver(store, *claim(store))
    kept = emit(store)
    assert day in days("events")
    assert prune(store, now) == 5
    assert stored_ids(store) == {kept[0].id}
    assert deliveries(store) == []
    assert [days(kind) for kind in _KINDS] == [ahead(now)] * 3


def test_a_day_that_is_older_only_in_part_waits_for_its_end_unless_it_is_asked_for(store, now, past, days):
    with past(2) as day:
        emit(store)
        plan(store)
    edge = (now // DAY - 2) * DAY + DAY - 1
    assert store.prune(edge, 100, exact=False) == 0
    assert len(stored_ids(store)) == 1
    assert store.prune(edge, 100) == 1
    assert stored_ids(store) == set()
    assert day in days("events")


def test_a_pending_delivery_of_a_dropped_day_is_still_sent_and_its_log_is_complete(store, now, past, days):
    add_webhook(store, endpoints=3)
    with past(3) as day:
        first, second = emit(store, make_event(store), make_event(store))
        plan(store)
        claimed = claim(store)
        waiting = next(one for one in claimed if one.event_id == second.id)
        deliver(store, *[one for one in claimed if one is not waiting])
        store.record([result(waiting, DeliveryState.PENDING, retry_in_us=5)])
    assert prune(store, now) == 1
    assert stored_ids(store) == {second.id}
    assert sorted(one.state for one in deliveries(store)) == ["delivered", "delivered", "pending"]
    [again] = claim(store)
    assert (again.event_id, again.attempt_count, again.body) == (second.id, 1, b'{"n":1}')
    deliver(store, again)
    assert [len(attempts(store, one.id)) for one in deliveries(store) if one.id == again.id] == [2]
    assert {len(attempts(store, one.id)) for one in deliveries(store)} == {1, 2}
    assert prune(store, now) == 1
    assert deliveries(store) == []
    assert first.id not in stored_ids(store)
    assert day not in days("events")


def test_a_new_event_of_a_dropped_day_is_still_planned(store, now, past):
    with past(3):
        add_webhook(store)
        [event] = emit(store)
    assert prune(store, now) == 0
    assert plan(store).events == 1
    assert [one.event_id for one in deliveries(store)] == [event.id]


def test_rows_still_needed_of_a_day_are_rewritten_only_once(store, now, past, sql):
    with past(3) as day:
        add_webhook(store, endpoints=2)
        emit(store, make_event(store), make_event(store))
        plan(store)
        deliver(store, *sorted(claim(store), key=lambda one: one.event_id)[:3])
    written = sql(f"SELECT relfilenode FROM pg_class WHERE oid = 'unihooks.events_{day}'::regclass")
    for _ in range(2):
        prune(store, now)
        written += sql(f"SELECT relfilenode FROM pg_class WHERE oid = 'unihooks.events_{day}'::regclass")
    assert len(set(written[1:])) == 1
    assert written[0] != written[1]
    assert len(stored_ids(store)) == 1


def test_a_day_of_which_much_is_needed_is_pruned_row_by_row(store, now, past, monkeypatch):
    monkeypatch.setattr("unihooks.stores.postgres.days._MOST_KEPT", 1)
    add_webhook(store)
    with past(3):
        emit(store, *[make_event(store) for _ in range(4)])
        plan(store)
        deliver(store, claim(store)[0])
    assert prune(store, now) == 1
    assert sorted(one.state for one in deliveries(store)) == ["pending"] * 3


def test_replays_go_with_the_event_that_they_repeat_unless_one_is_pending(store, now, past):
    add_webhook(store)
    with past(3):
        gone, kept = emit(store, make_event(store), make_event(store))
        plan(store)
        deliver(store, *claim(store))
    originals = {one.event_id: one.id for one in deliveries(store)}
    done = store.replay("default", originals[gone.id])
    deliver(store, *claim(store))
    waits = store.replay("default", originals[kept.id])
    assert prune(store, now) == 1
    assert {one.id for one in deliveries(store)} == {originals[kept.id], waits.id}
    with pytest.raises(Exception, match=done.id):
        attempts(store, done.id)


def test_a_hosts_transaction_delays_the_drop_of_a_day_and_nobody_else(store, now, past, days, connect):
    with past(3) as day:
        emit(store)
        plan(store)
    with connect() as host:
        store.emit_on(host, make_event(store))
        assert prune(store, now) == 1
        assert day in days("events")
        assert len(emit(store)) == 1
    assert prune(store, now) == 0
    assert day not in days("events")


def test_a_reader_of_a_day_delays_its_drop(store, now, past, days, connect):
    with past(3) as day:
        emit(store)
        plan(store)
    with connect() as reader:
        reader.execute(f"SELECT * FROM {store._postgres.schema.quoted}.events_{day}")
        assert prune(store, now, exact=False) == 0
        assert len(stored_ids(store)) == 1
    assert prune(store, now) == 1
    assert day not in days("events")


def test_without_a_retention_no_days_are_made(store, now, days):
    before = days("events")
    store.expire_held(0, 100)
    store.forget_keys(0, 100)
    assert days("events") == before


def test_the_verbs_of_the_log_reach_every_day(store, now, past):
    add_webhook(store, endpoints=2)
    with past(3):
        [event] = emit(store)
        plan(store)
        sent, kept = claim(store)
        deliver(store, sent)
        store.record([result(kept, DeliveryState.PENDING, retry_in_us=5)])
    replay = store.replay("default", sent.id)
    assert {one.id for one in deliveries(store, event_id=event.id)} == {sent.id, kept.id, replay.id}
    assert store.cancel("default", kept.id, "by hand").state is DeliveryState.CANCELLED
    assert store.erase("default", event_ids=[event.id], limit=9) == (1, None)
    assert {one.id: one.state for one in deliveries(store)} == {
        sent.id: "delivered",
        kept.id: "cancelled",
        replay.id: "cancelled",
    }
    assert {one.request_headers for id_ in (sent.id, kept.id) for one in attempts(store, id_)} == {()}
    assert prune(store, now) == 1
    assert deliveries(store) == []


# Frequent statements touch few of them.


def held_days(tx):
    """Return the partitions of days, and those beside them, that a transaction has touched."""
    rows = tx.value(
        "SELECT array_agg(DISTINCT c.relname ORDER BY c.relname) FROM pg_locks AS l "
        "JOIN pg_class AS c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() AND c.relkind = 'r'"
    )
    return [name for name in rows or () if name.rpartition("_")[2].isdigit() or name.endswith("_others")]


@pytest.fixture
def locked(store):
    """Run a call in a transaction, and return the days whose partitions it has touched."""
    return lambda call: store._database.write(lambda tx: (tx.pipeline(call), held_days(tx))[1])


def test_routine_work_touches_only_the_queue_and_the_days_that_are_written(store, now, past, locked):
    for count in range(5, 15):
        with past(count):
            pass
    webhook = add_webhook(store)
    emit(store, make_event(store), make_event(store))
    plan(store)
    one, two = claim(store)
    endpoint = webhook.endpoints[0].id
    today = ahead(now)[0]
    key = (one.tenant, one.id)
    assert locked(Call("due_deliveries", [(endpoint, 9, 0)], {"now": now, "share": 9, "is_limited": False})) == []
    assert locked(Call("lease", [(*key, webhook.id)], {"until": now, "token": 7})) == []
    assert locked(Call("settle_lanes", values={"endpoints": [endpoint]})) == []
    assert locked(Call("release", [(*key, 9, webhook.id)], {"now": now})) == []
    assert locked(Call("held_by_token", [(*key, 7, 0, webhook.id)])) == []
    moved = (*key, endpoint, "pending", now, 1, now, None, None, webhook.id)
    assert locked(Call("move_on", [moved])) == []
    row = ("default", "dlv_9", "evt_9", webhook.id, endpoint, "shop", "order.paid", None, None)
    assert locked(Call("add_planned_deliveries", [row], {"due_at": now, "token": None, "now": now})) == []
    assert locked(Call("deliver_all", [(two.tenant, two.id, 7, 1, webhook.id)], {"count": 1})) == [
        f"deliveries_{today}"
    ]
    attempt = (two.id, 1, "https://h0.example/", now, 5, 204, None, "[]", "[]", b"", "[]")
    assert locked(Call("add_attempts", [attempt])) == [f"attempts_{today}"]
    assert locked(Call("add_events", [("default", make_event(store).id, "shop", "order.paid", None, None, b"{}")])) == [
        f"events_{today}"
    ]


def explained(call, tx):
    with psycopg.ClientCursor(tx._connection) as cursor:
        text = f"EXPLAIN {tx._schema.text(call.name)}"
        cursor.execute(text, tx._parameters(call.name, call.rows, call.values))
        return "\n".join(row[0] for row in cursor.fetchall())


def test_looking_for_work_touches_no_older_days(store, now, past, locked):
    for count in range(5, 15):
        with past(count):
            pass
    add_webhook(store)
    [event] = emit(store)
    near = {f"events_{day}" for day in ahead(now, -1)} | {"events_others"}
    finding = Call("find_new_events", values={"after": "", "tenants": 9, "limit": 9})
    assert set(locked(finding)) <= near
    assert set(locked(Call("event_bodies", [("default", event.id)]))) <= near
    plan(store)
    [delivery] = deliveries(store)

    def look_up(tx):
        log.get_delivery(tx, "default", delivery.id)
        return held_days(tx)

    assert set(store._database.read(look_up)) <= {f"{table}_{ahead(now)[0]}" for table in ("deliveries", "attempts")}


def test_an_event_of_older_days_is_planned_and_claimed_as_any_other(store, now, past, new_store):
    with past(9):
        add_webhook(store)
        [event] = emit(store, make_event(store, body=b'{"n":9}'))
    emit(store)
    other = new_store()
    assert plan(other).events == 2
    claimed = claim(other)
    assert {one.event_id: one.body for one in claimed}[event.id] == b'{"n":9}'
    assert len(claimed) == 2


def test_plans_stay_good_that_are_made_while_the_queue_is_short(store, now, sql):
    webhook = add_webhook(store).id
    emit(store, *[make_event(store) for _ in range(4)])
    plan(store)
    sql("ANALYZE")
    keys = [(one.tenant, one.id, one.token, 1) for one in claim(store)]
    for name, rows, values in (
        ("deliver", [(*key, webhook) for key in keys], {}),
        ("lease", [(*key[:2], webhook) for key in keys], {"until": now, "token": 7}),
        ("release", [(*key[:3], webhook) for key in keys], {"now": now}),
        ("move_on", [(*key[:2], "end_1", "pending", now, 1, now, None, None, webhook) for key in keys], {}),
    ):
        found = store._database.write(partial(explained, Call(name, rows, values)))
        assert "Tid Scan on deliveries_pending" in found, found
        # This would read the whole index.
        assert "Index Cond: (state" not in found, found
    endpoints = [one.endpoint_id for one in deliveries(store)]
    for call in (
        Call("due_deliveries", [(id_, 9, 0) for id_ in endpoints], {"now": now, "share": 9, "is_limited": False}),
        Call("settle_lanes", values={"endpoints": endpoints}),
        Call("held_by_token", [(*key[:3], 0, webhook) for key in keys]),
    ):
        found = store._database.write(partial(explained, call))
        # This would read the whole index.
        assert "Index Cond: (state" not in found, found


# Rows that move to another partition.


def test_a_result_that_meets_a_cancellation_is_recorded_as_such(store, admin, schema, now):
    add_webhook(store)
    emit(store)
    plan(store)
    [claimed] = claim(store)
    recorded = []
    with psycopg.connect(admin.info.dsn) as other:
        other.execute(f"UPDATE {schema}.deliveries SET state = 'cancelled' WHERE state = 'pending'")
        failed = result(claimed, DeliveryState.FAILED, reason="no retry is left")
        thread = threading.Thread(target=lambda: recorded.append(store.record([failed])))
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%unihooks_%%'"
        wait_for(lambda: admin.execute(waits.replace("%%", "%")).fetchone()[0])
    thread.join()
    assert recorded[0].accepted == frozenset()
    assert [one.state for one in deliveries(store)] == ["cancelled"]
    assert len(attempts(store, claimed.id)) == 1


def test_a_cancellation_that_meets_a_result_finds_it_delivered(store, admin, schema, now):
    add_webhook(store)
    emit(store)
    plan(store)
    [claimed] = claim(store)
    refused = []

    def cancel():
        try:
            store.cancel("default", claimed.id, "by hand")
        except Exception as error:  # noqa: BLE001 - which it is, is asserted below
            refused.append(str(error))

    with psycopg.connect(admin.info.dsn) as other:
        other.execute(f"UPDATE {schema}.deliveries SET state = 'delivered' WHERE state = 'pending'")
        thread = threading.Thread(target=cancel)
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_for(lambda: admin.execute(waits).fetchone()[0])
    thread.join()
    assert refused == ["the delivery is delivered; only a pending one can be cancelled"]


@pytest.mark.parametrize("remove", ["delete", "erase"])
def test_deliveries_can_be_removed_while_results_for_them_arrive(store, now, remove):
    webhook = add_webhook(store)
    events = emit(store, *[make_event(store) for _ in range(120)])
    plan(store, limit=200)
    claimed = claim(store, 200)
    with ThreadPoolExecutor(4) as pool:
        recording = [pool.submit(deliver, store, *claimed[first : first + 4]) for first in range(0, 120, 4)]
        if remove == "delete":
            store.delete_webhook("default", webhook.id)
        else:
            store.erase("default", event_ids=[one.id for one in events], limit=200)
        accepted = set().union(*[one.result() for one in recording])
    found = {one.id: one.state for one in deliveries(store)}
    assert len(found) == 120
    assert {id_ for id_, state in found.items() if state == "delivered"} == accepted
    assert set(found.values()) <= {"delivered", "cancelled"}
