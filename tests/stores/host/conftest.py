"""The store that these tests use."""

from __future__ import annotations

import pytest
from host_scene import HOSTS

from unihooks.stores import PostgresStore


@pytest.fixture
def store(postgres_dsn, schema):
    store = PostgresStore(postgres_dsn, schema=schema)
    yield store
    store.close()


@pytest.fixture(params=HOSTS)
def host(request, postgres_dsn):
    with HOSTS[request.param](postgres_dsn) as host:
        yield host
