"""An event is written once: a trigger inserts its row in the queue, and only that row is deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlite_scene import add_webhook, emit, make_event

from unihooks.abc import Capacity, Lease
from unihooks.stores import SQLiteStore
from unihooks.stores.sqlite.database import MIGRATIONS
from unihooks.stores.sqlite.transaction import SQLiteTransaction


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def tx(connection):
    tx = SQLiteTransaction(connection, lambda: 1)
    tx.script(MIGRATIONS.script("0001_initial.sql"))
    return tx


def test_planning_never_updates_an_event(tmp_path):
    path = tmp_path / "webhooks.db"
    with closing(SQLiteStore(path)) as store, closing(sqlite3.connect(path)) as host:
        for _ in range(7):
            add_webhook(store, endpoints=40)
        host.execute("CREATE TRIGGER once BEFORE UPDATE ON unihooks_events BEGIN SELECT RAISE(ABORT, 'twice'); END")
        events = [make_event(store) for _ in range(3)]
        emit(store, *events)
        assert [row[0] for row in host.execute("SELECT place FROM unihooks_new_events")] == [one.id for one in events]
        made, more = 0, True
        while more:
            planned = store.plan(Lease(token=1, seconds=30), Capacity(0, 0), 10)
            made, more = made + planned.deliveries, planned.more
        assert made == 3 * 7 * 40
        assert host.execute("SELECT count(*) FROM unihooks_new_events").fetchone() == (0,)


@pytest.mark.parametrize("name", ["found_events", "event_bodies", "plan_later", "set_aside", "prune_events"])
def test_rows_of_many_tenants_are_found_each_by_its_own_key(connection, tx, name):
    events = [(f"tenant {n}", f"evt_{n}_{k}", "shop", "paid", 1, None, b"1") for n in range(200) for k in range(3)]
    tx.run("add_events", events)
    keys = [event[:2] for event in events[::3]]
    more = {"plan_later": [(*key, key[1], "", 1, None, f"{key[1]}~") for key in keys]}
    more["set_aside"] = [(*key, "why") for key in keys]
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    connection.set_progress_handler(count, 1)
    bounds = {"lowest": "evt_", "highest": "evt_~"} if name == "prune_events" else {}
    tx.fetch(name, more.get(name, keys), **bounds)
    # The number of tenants times the number of events would be 40,000 looks.
    assert steps < 100 * len(keys)
