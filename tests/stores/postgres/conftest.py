"""The store that these tests use."""

from __future__ import annotations

import pytest


@pytest.fixture
def store(new_store):
    return new_store()
