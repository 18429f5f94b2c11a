import re

import pytest

from unihooks._contract.histogram import BOUNDS_MS
from unihooks.stores.postgres.transaction import STATEMENTS as POSTGRES
from unihooks.stores.sqlite.transaction import STATEMENTS as SQLITE

NAMED = re.compile(r"(?<![:\w]):(\w+)")
# Each database's own code runs these: how it emits in groups, and where it looks for its tables.
OWN = {"add_events", "add_events_again", "has_schema", "store_table"}
# What one database is told by the statement before, the other takes as parameters; and a hint that one needs.
MORE = {
    "found_config_versions": {"after", "tenants"},
    "due_deliveries": {"share"},
    "delivery_ids_of_type": {"event_type"},
}


def test_both_databases_have_the_same_statements():
    assert set(SQLITE) - OWN == set(POSTGRES) - OWN


@pytest.mark.parametrize("name", sorted((set(SQLITE) & set(POSTGRES)) - OWN))
def test_a_statement_takes_the_same_in_both_databases(name):
    sqlite, postgres = SQLITE[name], POSTGRES[name]
    assert sqlite.rows == postgres.rows
    if sqlite.text and postgres.text:
        assert _parameters(sqlite) ^ _parameters(postgres) <= MORE.get(name, set())


@pytest.mark.parametrize("statements", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])
def test_hours_are_counted_by_the_bounds_of_the_histogram(statements):
    within = [f"up_to_{bound}_ms" for bound in BOUNDS_MS]
    assert list(statements["add_hours"].rows[-len(within) :]) == within
    for name in ("counts_by_hour", "slowest_endpoints"):
        assert re.findall(r"sum\(h\.(up_to_\w+)\)", statements[name].text) == within


def _parameters(statement):
    return set(NAMED.findall(statement.text)) - {f"{statement.bytes}_all"}
