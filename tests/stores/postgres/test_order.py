"""Waiting deliveries cost a claim nothing; a transaction that adds to a chain and one that frees it see each other."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from waiting import wait_for

from unihooks.stores.postgres.database import _BY_INDEX, _setting
from unihooks.stores.postgres.transaction import PostgresTransaction, Schema
from unihooks.stores.sql.ordering import NEVER
from unihooks.testing import FakeClock
from unihooks.testing._store_rules.scene import ACME, Scene

pytestmark = pytest.mark.postgres

WAITING = 20_000
FEW_ROWS = 5
_COLUMNS = "tenant, event_id, webhook_id, endpoint_id, product, event_type, subject, state, created_at, due_at"
_BLOCKED = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def scene(store):
    clock = FakeClock()
    store.use_clock(clock)
    return Scene(store, clock)


def row_counts(plan):
    """Yield how many rows each step of a plan has read."""
    yield plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    for inner in plan.get("Plans", ()):
        yield from row_counts(inner)


@pytest.mark.parametrize("name", ["due_deliveries", "settle_lanes", "chain_ends", "free_first"])
def test_many_that_wait_are_not_looked_at(scene, admin, schema, name):
    [endpoint] = scene.active(ordered=True).endpoints
    for _ in range(2):
        scene.emit(subject="a")
    scene.plan()
    admin.execute(
        f"INSERT INTO \"{schema}\".deliveries (id, sequence, {_COLUMNS}) SELECT 'dlv_' || i, i, {_COLUMNS} "
        f'FROM generate_series(3, {WAITING}) AS i, "{schema}".deliveries AS d WHERE d.sequence = 2'
    )
    chain, now = [(ACME, endpoint.id, "a")], 2**60
    rows = {"due_deliveries": [(endpoint.id, 10, 0)], "chain_ends": chain, "free_first": chain}
    values = {
        "due_deliveries": {"now": now, "share": 10, "is_limited": False},
        "settle_lanes": {"endpoints": [endpoint.id]},
        "free_first": {"now": now, "never": NEVER},
    }
    placed = Schema(schema)
    with admin.transaction(), psycopg.ClientCursor(admin) as cursor:
        cursor.execute(_setting(_BY_INDEX))
        tx = PostgresTransaction(admin, placed, now)
        given = tx._parameters(name, rows.get(name), values.get(name, {}))
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {placed.text(name)}", given)
        [found] = cursor.fetchone()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert max(row_counts(plan)) < FEW_ROWS


def test_a_delivery_that_is_planned_while_the_one_before_it_ends_is_not_left_waiting(scene, admin, schema):
    [endpoint] = scene.active(ordered=True).endpoints
    scene.emit(subject="a")
    scene.plan()
    [first] = scene.claim()
    second = scene.emit(subject="a")
    with ThreadPoolExecutor(2) as pool, psycopg.connect(admin.info.dsn, password=admin.info.password) as other:
        # Both have to wait: the second one sees what the first has done.
        tx = PostgresTransaction(other, Schema(schema), 0)
        tx.fetch("lock_chains", [(ACME, endpoint.id, "a")])
        planning = pool.submit(scene.plan)
        wait_for(lambda: len(admin.execute(_BLOCKED).fetchall()) == 1)
        recording = pool.submit(scene.deliver, first)
        wait_for(lambda: len(admin.execute(_BLOCKED).fetchall()) == 2)
        other.rollback()
        assert planning.result(20).deliveries == 1
        assert len(recording.result(20).accepted) == 1
    assert [one.event_id for one in scene.claim()] == [second.id]


def test_an_event_waits_for_an_earlier_one_that_another_worker_has_found(scene, admin, schema):
    scene.active(ordered=True)
    first, second = scene.emit(subject="a"), scene.emit(subject="a")
    other_subject = scene.emit(subject="b")
    with psycopg.connect(admin.info.dsn, password=admin.info.password) as other:
        other.execute(f'SELECT 1 FROM "{schema}".new_events WHERE place = %s FOR UPDATE', (first.id,))
        planned = scene.plan()
        assert (planned.events, planned.deliveries) == (1, 1)
        other.rollback()
    assert [one.event_id for one in scene.claim()] == [other_subject.id]
    while scene.plan().more:
        pass
    [going] = scene.claim()
    assert going.event_id == first.id
    scene.deliver(going)
    assert [one.event_id for one in scene.claim()] == [second.id]
