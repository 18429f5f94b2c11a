"""Deliveries that wait for their turn cost a claim nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from unihooks.stores import SQLiteStore
from unihooks.stores.sql.ordering import NEVER
from unihooks.stores.sqlite.transaction import SQLiteTransaction
from unihooks.testing import FakeClock
from unihooks.testing._store_rules.scene import ACME, Scene

WAITING = 20_000
MANY_STEPS = 500
_COLUMNS = "tenant, event_id, webhook_id, endpoint_id, product, event_type, subject, state, created_at, due_at"


@pytest.fixture
def webhook(tmp_path):
    with closing(SQLiteStore(tmp_path / "webhooks.db")) as store:
        clock = FakeClock()
        store.use_clock(clock)
        scene = Scene(store, clock)
        webhook = scene.active(ordered=True)
        for _ in range(2):
            scene.emit(subject="a")
        scene.plan()
    return webhook


@pytest.fixture
def connection(webhook, tmp_path):
    with closing(sqlite3.connect(tmp_path / "webhooks.db")) as connection:
        connection.execute(
            f"WITH RECURSIVE n (i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < {WAITING}) "
            f"INSERT INTO unihooks_deliveries (id, sequence, {_COLUMNS}) SELECT 'dlv_' || i, i, {_COLUMNS} "
            "FROM n, unihooks_deliveries AS d WHERE d.sequence = 2"
        )
        yield connection


@pytest.mark.parametrize(
    "name, found",
    [("work", 1), ("due_lanes", 1), ("due_deliveries", 1), ("settle_lanes", 0), ("chain_ends", 1), ("free_first", 0)],
)
def test_many_that_wait_are_not_looked_at(connection, webhook, name, found):
    endpoint, now = webhook.endpoints[0].id, 2**60
    rows = {
        "due_deliveries": [(endpoint, 10, 0)],
        "chain_ends": [(ACME, endpoint, "a")],
        "free_first": [(ACME, endpoint, "a")],
    }
    values = {
        "work": {"before": "~", "first": 0, "end": 1024},
        "due_lanes": {"now": now, "first": 0, "end": 1024, "limit": 10},
        "due_deliveries": {"now": now, "share": 10, "is_limited": False},
        "settle_lanes": {"endpoints": [endpoint]},
        "free_first": {"now": now, "never": NEVER},
    }
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    tx = SQLiteTransaction(connection, lambda: now)
    connection.set_progress_handler(count, 1)
    assert len(tx.fetch(name, rows.get(name), **values.get(name, {}))) == found
    assert steps < MANY_STEPS
