"""Stores on, and connections to, a PostgreSQL server."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import line_of

WORKER = Path(__file__).with_name("worker_process.py")


@pytest.fixture
def new_store(postgres_dsn, schema):
    from unihooks.stores import PostgresStore

    stores = []

    def make(dsn=postgres_dsn, **options):
        stores.append(PostgresStore(dsn, **{"schema": schema, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """Yield each kind of database in turn, empty: the class of its stores and the arguments that open them."""
    from unihooks.stores import PostgresStore, SQLiteStore

    if request.param == "sqlite":
        return SQLiteStore, {"path": str(tmp_path / "webhooks.db")}
    return PostgresStore, {"dsn": request.getfixturevalue("postgres_dsn"), "schema": request.getfixturevalue("schema")}


@pytest.fixture
def open_dispatcher(place, receiver):
    """Open dispatchers on one database, each with a store of its own."""
    from unihooks import Dispatcher

    kind, options = place
    with ExitStack() as stack:

        def make(**more):
            more = {"targets": receiver.targets, "ssl_context": receiver.ssl_context, **more}
            return stack.enter_context(Dispatcher(kind(**options), **more))

        yield make


@pytest.fixture
def admin(postgres_dsn):
    import psycopg

    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def start_worker(place, receiver):
    """Start worker processes; all of them have to end in order, except those that a test kills."""
    kind, options = place
    authority = "".join(map(ssl.DER_cert_to_PEM_cert, receiver.ssl_context.get_ca_certs(binary_form=True)))
    running = []

    def start(**more):
        told = json.dumps({"kind": kind.__name__, "options": options, "authority": authority, **more})
        process = subprocess.Popen([sys.executable, str(WORKER), told], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert line_of(process.stdout) == "ready\n"
        return process

    yield start
    for process in running:
        process.terminate()
    codes = [process.wait(25) for process in running]
    for process in running:
        process.stdout.close()
    assert set(codes) <= {0, -signal.SIGKILL}
