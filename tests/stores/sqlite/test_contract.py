"""The store in an SQLite file keeps the contract."""

from __future__ import annotations

import pytest

from unihooks.testing import StoreContract


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        from unihooks.stores import SQLiteStore

        store = SQLiteStore(tmp_path / "webhooks.db")
        yield store
        store.close()
