"""PostgresStore follows the rules of every store."""

from __future__ import annotations

import pytest

from unihooks.stores import PostgresStore
from unihooks.testing import StoreContract

pytestmark = pytest.mark.postgres


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_dsn, empty_schema):
        store = PostgresStore(postgres_dsn, schema=empty_schema)
        yield store
        store.close()
