"""The store that these tests use."""

from __future__ import annotations

import pytest

from unihooks.stores import SQLiteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "webhooks.db"


@pytest.fixture
def store(path):
    store = SQLiteStore(path)
    yield store
    store.close()
