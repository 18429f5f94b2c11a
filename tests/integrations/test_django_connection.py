"""A store on Django's own connection keeps the contract, within the transaction of a test case."""

from __future__ import annotations

import pytest

pytest.importorskip("django")

from unihooks.testing import StoreContract


@pytest.fixture
def schema(empty_schema):
    """Return a schema that has its tables, since tests that are rolled back would create them each time."""
    return empty_schema


# The contract again, on another way to the same server.
@pytest.mark.slow
class TestStoreOnDjangosConnection(StoreContract):
    @pytest.fixture
    def store(self, using, database):
        from django.db import transaction

        from unihooks.integrations.django import store

        atomic = transaction.atomic(using=using)
        atomic._from_testcase = True
        with atomic:
            made = store(using, **database[1])
            yield made
            transaction.set_rollback(True, using=using)
