"""A PostgreSQL server for the session, and a schema of its own for each test."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import postgres_server

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_dsn():
    given = os.environ.get(postgres_server.VARIABLE)
    if given:
        yield given
        return
    with postgres_server.serving() as server:
        yield server.dsn


@pytest.fixture
def schema(postgres_dsn):
    """Name a schema, and drop it afterwards."""
    import psycopg

    name = f"unihooks_test_{os.getpid()}_{next(_numbers)}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


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


@pytest.fixture
def admin(postgres_dsn):
    import psycopg

    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection
