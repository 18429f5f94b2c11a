"""The cost of lanes with limits, or in a pause, on PostgreSQL: few rows are read, however many deliveries wait."""

from __future__ import annotations

import pytest
from postgres_scene import add_webhook, emit, make_event, plan

from unihooks import DeliveryPolicy

pytestmark = pytest.mark.postgres

CALLS = [
    ("due_lanes", None, {"now": 0, "first": 0, "end": 1024, "limit": 10}),
    ("limited_lanes", None, {"endpoints": ["a"], "now": 0}),
    ("count_leases", [("a", 1)], {"now": 0}),
    ("settle_limited", [("a", 1.0, 1, 1, 1)], {}),
    ("free_lanes", [("a", 1)], {}),
    ("lower_lanes", [("a", 1)], {}),
    ("waiting_lanes", None, {"endpoints": ["a"], "now": 0}),
    ("note_success", None, {"endpoints": ["a"], "counts": [1], "now": 0}),
]


@pytest.mark.parametrize("name, rows, values", CALLS)
def test_lanes_and_deliveries_are_found_by_index(store, name, rows, values):
    add_webhook(store, policy=DeliveryPolicy(in_flight=1))
    emit(store, *[make_event(store) for _ in range(300)])
    plan(store, limit=300)

    def explained(tx):
        text = f"EXPLAIN {tx._schema.text(name)}"
        return str(tx._connection.execute(text.encode(), tx._parameters(name, rows, values)).fetchall())

    assert "Seq Scan" not in store._postgres.write(explained)
