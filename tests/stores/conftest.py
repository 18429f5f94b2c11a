"""Stores and connections of a PostgreSQL server."""

from __future__ import annotations

import pytest


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
