"""A store in each kind of database in turn."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest


@pytest.fixture
def store(place):
    kind, options = place
    store = kind(**options)
    yield store
    store.close()


@pytest.fixture
def sql(place):
    """Run SQL beside the store and return the rows; `{}` stands for the prefix of its tables."""
    _, options = place

    def run(text):
        if "path" in options:
            with closing(sqlite3.connect(options["path"])) as connection, connection:
                return connection.execute(text.format("unihooks_")).fetchall()
        import psycopg

        with psycopg.connect(options["dsn"]) as connection:
            cursor = connection.execute(text.format(f"{options['schema']}."))
            return cursor.fetchall() if cursor.description else []

    return run
