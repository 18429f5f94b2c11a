"""No rows of one test are left for the next."""

from __future__ import annotations

import re

import pytest

from unihooks.stores.postgres import database as postgres
from unihooks.stores.postgres.transaction import STATEMENTS as POSTGRES
from unihooks.stores.sql.schema import SCHEMA_VERSION
from unihooks.stores.sqlite import database as sqlite
from unihooks.stores.sqlite.transaction import STATEMENTS as SQLITE


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_table_is_cleared(database):
    migrations = {"sqlite": sqlite.MIGRATIONS, "postgres": postgres.MIGRATIONS}[database]
    scripts = "".join(map(migrations.script, migrations.between(0, SCHEMA_VERSION)))
    made = set(re.findall(r"CREATE TABLE (?:main\.unihooks_|unihooks\.)(\w+)(?! PARTITION OF)\b", scripts))
    own = {"sqlite": SQLITE, "postgres": POSTGRES}[database]
    cleared = f"{own['clear'].text};\n{own['clear_keys'].text}"
    assert made - {"store"} == set(re.findall(r"DELETE FROM (?:main\.unihooks_|unihooks\.)(\w+)", cleared))


def test_clearing_leaves_the_tables_and_the_store(host, store):
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    store.clear()
    assert (list(host.dispatcher.webhooks.list()), host.deliveries()) == ([], [])
    host.webhook()
    host.emit()
    assert host.dispatcher.drain().delivered == 1
