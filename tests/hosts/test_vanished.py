"""A database whose machine vanishes delays no emit beyond its deadline, and both ends close their connections."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from waiting import wait_for

sys.path.insert(0, str(Path(__file__).parent))

import postgres_server
import psycopg
from network import Network, Unavailable

from unihooks import Dispatcher
from unihooks.exceptions import StoreError
from unihooks.stores import PostgresStore

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

HANG = 60


@contextmanager
def two_hosts():
    """Yield a network with a server on one host and a dispatcher on the other, where this thread runs."""
    try:
        network = Network("database", "shop").__enter__()
    except Unavailable as error:
        pytest.skip(f"no network of its own can be made here: {error}")
    with network:
        database, shop = network.hosts["database"], network.hosts["shop"]
        with database.visited(), postgres_server.serving(database.address) as server:
            admin = psycopg.connect(server.dsn, autocommit=True)
            with closing(admin), shop.visited(), Dispatcher(PostgresStore(server.dsn, emit_deadline=4)) as dispatcher:
                yield network, dispatcher, admin


def test_emit_ends_and_both_ends_let_go_when_the_servers_machine_vanishes():
    with two_hosts() as (network, dispatcher, admin), ThreadPoolExecutor(1) as threads:
        dispatcher.emit("shop", "paid", 1)
        # A session that is being opened at this moment has no timeouts yet.
        told = sessions(admin)
        assert told
        with network.cut("database"):
            emitting = threads.submit(dispatcher.emit, "shop", "paid", 2, idempotency_key="two")
            error = emitting.exception(HANG)
            assert isinstance(error, StoreError)
            assert "not confirmed within 4 s" in str(error)
            # The server would keep them for two hours.
            wait_for(lambda: told.isdisjoint(sessions(admin)), HANG)
        # Events that have not arrived are not stored, and those that have are stored once.
        assert wait_for(lambda: emitted(dispatcher), HANG)
        payloads = [event.payload for event in dispatcher.log.events()]
        assert sorted(payloads) == [1, 2]


def emitted(dispatcher):
    try:
        return dispatcher.emit("shop", "paid", 2, idempotency_key="two")
    except StoreError:
        return None


def sessions(admin):
    """Return the server's processes that have run our statements, the first of which sets the timeouts."""
    look = "SELECT pid FROM pg_stat_activity WHERE application_name = 'unihooks' AND query <> ''"
    return set(admin.execute(look).fetchall())
