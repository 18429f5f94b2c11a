"""The cost of lanes with limits, or in a pause, on SQLite: few rows are read, however many deliveries wait."""

from __future__ import annotations

import re
import sqlite3

import pytest

from unihooks.stores import SQLiteStore
from unihooks.stores.sql.statements import NAMED
from unihooks.stores.sqlite.transaction import STATEMENTS, _compiled, _with_values

STATEMENTS_USED = [
    "due_lanes",
    "limited_lanes",
    "count_leases",
    "settle_limited",
    "free_lanes",
    "lower_lanes",
    "waiting_lanes",
    "found_config_versions",
    "note_success",
    "set_lanes",
    "fit_limits",
]


@pytest.fixture
def connection(tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db")
    store.migrate()
    store.close()
    with sqlite3.connect(tmp_path / "webhooks.db") as connection:
        yield connection
    connection.close()


def plan_of(connection, name):
    compiled = _compiled(name, is_utf8=True)
    if compiled.after is None:
        text, given = compiled.before, dict.fromkeys(NAMED.findall(compiled.before))
    else:
        text = _with_values(compiled.before, compiled.after, len(STATEMENTS[name].rows), 1)
        given = [None] * text.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", given)]


@pytest.mark.parametrize("name", STATEMENTS_USED)
def test_lanes_and_deliveries_are_found_by_index(connection, name):
    plan = plan_of(connection, name)
    # A part of a statement with only one row is read as a whole.
    assert not [step for step in plan if re.match(r"SCAN (unihooks_|main|l\b)", step)], plan


def test_leases_are_counted_without_a_look_at_their_rows(connection):
    plan = plan_of(connection, "count_leases")
    assert any(
        "COVERING INDEX unihooks_deliveries_due (endpoint_id=? AND due_at>? AND due_at<?)" in one for one in plan
    )


def test_tenants_without_a_pause_are_found_by_an_index_of_those_with_one(connection):
    assert any("unihooks_lanes_paused" in one for one in plan_of(connection, "found_config_versions"))
