"""A tenant's events per minute are limited, whoever emits them and however."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest

from unihooks import Emission, Limits
from unihooks.exceptions import LimitReached
from unihooks.testing import FakeClock

EMITTING = """
import json, sys
from datetime import datetime
from unihooks import Dispatcher, Limits, stores
from unihooks.exceptions import LimitReached
kind, options, now = sys.argv[1:]
moment = datetime.fromisoformat(now)
store = getattr(stores, kind)(**json.loads(options))
made = 0
with Dispatcher(store, clock=lambda: moment, limits=Limits(events_per_minute=50)) as dispatcher:
    for number in range(30):
        try:
            dispatcher.emit("shop", "order.paid", number, tenant="acme")
        except LimitReached:
            continue
        made += 1
print(made)
"""
LIMITS = Limits(events_per_minute=3)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def limited(open_dispatcher, clock):
    return open_dispatcher(clock=clock, limits=LIMITS)


@pytest.fixture
def connect(place):
    """Connect as a host does, with an open transaction."""
    kind, options = place

    def connection():
        if kind.__name__ == "SQLiteStore":
            return closing(sqlite3.connect(options["path"], isolation_level="IMMEDIATE"))
        return closing(psycopg.connect(options["dsn"]))

    return connection


def emitted(dispatcher, count, **options):
    """Emit one by one; return how many were accepted."""
    made = 0
    for number in range(count):
        try:
            dispatcher.emit("shop", "order.paid", number, **options)
        except LimitReached:
            continue
        made += 1
    return made


def kept(dispatcher):
    return len(dispatcher.log.events(limit=250))


def test_emit_beyond_the_limit_is_refused_with_advice(limited, clock):
    assert emitted(limited, 3) == 3
    with pytest.raises(LimitReached, match="may emit 3 events per minute, which is the limit; try again in") as told:
        limited.emit("shop", "order.paid", {})
    assert isinstance(told.value, ValueError)
    assert emitted(limited, 1, tenant="other") == 1
    clock.advance(60)
    assert emitted(limited, 4) == 3
    assert kept(limited) == 6


async def test_emits_that_share_a_commit_are_refused_separately(limited):
    emits = [limited.aemit("shop", "order.paid", number) for number in range(5)]
    outcomes = await asyncio.gather(*emits, return_exceptions=True)
    assert sorted(isinstance(one, LimitReached) for one in outcomes) == [False] * 3 + [True] * 2
    keyed = limited.aemit("shop", "order.paid", {}, idempotency_key="k")
    assert isinstance((await asyncio.gather(keyed, return_exceptions=True))[0], LimitReached)
    assert kept(limited) == 3


@pytest.mark.parametrize("key", [None, "k"])
async def test_emit_many_is_refused_as_a_whole(limited, key):
    emission = Emission("shop", "order.paid", {}, key)
    limited.emit_many([("shop", "order.paid", {}), emission])
    for events in ([("shop", "order.paid", 1), ("shop", "order.paid", 2)], [emission, ("shop", "order.paid", 2)]):
        with pytest.raises(LimitReached):
            limited.emit_many(events)
        with pytest.raises(LimitReached):
            await limited.aemit_many(events)
    assert kept(limited) == 2
    assert emitted(limited, 2) == 1


def test_processes_share_the_limit(place, limited, clock, tmp_path):
    kind, options = place
    assert kept(limited) == 0  # the tables are there
    script = tmp_path / "emit.py"
    script.write_text(EMITTING)
    command = [sys.executable, str(script), kind.__name__, json.dumps(options), clock().isoformat()]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 50
    assert len(limited.log.events(tenant="acme", limit=250)) == 50


def test_emits_in_the_hosts_transactions_are_neither_counted_nor_refused(limited, connect):
    kept(limited)
    with connect() as connection:
        assert emitted(limited, 5, connection=connection) == 5
        connection.commit()
    assert emitted(limited, 4) == 3
    assert kept(limited) == 8


@pytest.mark.parametrize("is_rolled_back", [False, True])
def test_emits_in_the_hosts_transactions_are_refused_if_the_host_asks_for_that(
    open_dispatcher, clock, connect, is_rolled_back
):
    limited = open_dispatcher(clock=clock, limits=Limits(events_per_minute=3, refuse_in_transactions=True))
    assert emitted(limited, 1) == 1
    with connect() as connection:
        assert emitted(limited, 5, connection=connection) == 2
        with pytest.raises(LimitReached):
            limited.emit_many([("shop", "order.paid", {})], connection=connection)
        connection.rollback() if is_rolled_back else connection.commit()
    assert emitted(limited, 3) == (2 if is_rolled_back else 0)
    assert kept(limited) == 3


async def test_a_twin_refuses_in_the_hosts_transactions_too(open_dispatcher, clock, connect):
    limited = open_dispatcher(clock=clock, limits=Limits(events_per_minute=1, refuse_in_transactions=True))
    assert kept(limited) == 0
    with connect() as connection:
        await limited.aemit("shop", "order.paid", {}, connection=connection, idempotency_key="k")
        # The first event of the key comes back, and counts once.
        with pytest.raises(LimitReached):
            await limited.aemit("shop", "order.paid", {}, connection=connection, idempotency_key="k")
        connection.commit()
    assert kept(limited) == 1


def test_old_counts_are_forgotten(place, limited, clock):
    emitted(limited, 2)
    store = limited.settings.store
    assert counted(place) == 1
    clock.advance(600)
    store.expire_held(0, 100)
    assert counted(place) == 0


def test_without_a_limit_nothing_is_counted(place, open_dispatcher):
    dispatcher = open_dispatcher()
    emitted(dispatcher, 2)
    dispatcher.emit_many([("shop", "order.paid", {})])
    assert counted(place) == 0


@pytest.mark.parametrize("wrong", [{"events_per_minute": 0}, {"events_per_minute": -1}])
def test_a_limit_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="events_per_minute must be at least 1"):
        Limits(**wrong)


@pytest.mark.parametrize("wrong", [{"events_per_minute": 1.5}, {"refuse_in_transactions": 1}])
def test_a_limit_of_another_type_is_refused(wrong):
    with pytest.raises(TypeError, match="must be"):
        Limits(**wrong)


def counted(place):
    kind, options = place
    if kind.__name__ == "SQLiteStore":
        with closing(sqlite3.connect(options["path"])) as connection:
            return connection.execute("SELECT count(*) FROM unihooks_emitted").fetchone()[0]
    with psycopg.connect(options["dsn"]) as connection:
        return connection.execute(f"SELECT count(*) FROM {options['schema']}.emitted").fetchone()[0]
