"""Of what a filter shows, SQLite looks at little else, however much there is."""

from __future__ import annotations

import sqlite3

import pytest

from unihooks import DeliveryState
from unihooks.abc import DeliveryFilter
from unihooks.stores import SQLiteStore
from unihooks.stores.sqlite import log

TENANT = "acme"


@pytest.fixture
def connection(tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db")
    store.migrate()
    store.close()
    with sqlite3.connect(tmp_path / "webhooks.db") as connection:
        yield connection
    connection.close()


def plan_of(connection, head, filters):
    statement, parameters = log._narrowed(connection, head, TENANT, filters)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement} ORDER BY d.id DESC LIMIT 50", parameters)
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize(
    "filters, index",
    [
        (DeliveryFilter(), "SEARCH d USING PRIMARY KEY (tenant=?)"),
        (DeliveryFilter(state=DeliveryState.FAILED), "unihooks_deliveries_failed (tenant=?)"),
        (DeliveryFilter(state=DeliveryState.FAILED, webhook_id="wh_1"), "failed_by_webhook (webhook_id=?)"),
        (DeliveryFilter(state=DeliveryState.PENDING), "unihooks_deliveries_due (endpoint_id=?)"),
        (DeliveryFilter(held=True), "unihooks_deliveries_due (endpoint_id=?)"),
        (DeliveryFilter(event_type="paid"), "unihooks_deliveries_by_type (tenant=? AND event_type=?)"),
        (DeliveryFilter(webhook_id="wh_1"), "unihooks_deliveries_by_webhook (webhook_id=?)"),
        (DeliveryFilter(webhook_id="wh_1", event_type="paid"), "unihooks_deliveries_by_webhook (webhook_id=?)"),
        (DeliveryFilter(event_id="evt_1"), "unihooks_deliveries_once (event_id=?)"),
        (DeliveryFilter(since=1, until=2), "SEARCH d USING PRIMARY KEY (tenant=? AND id>? AND id<?)"),
    ],
    ids=str,
)
def test_a_filter_has_its_index(connection, filters, index):
    assert index in plan_of(connection, log._DELIVERIES, filters)


def test_a_rare_event_type_of_a_webhook_with_many_deliveries_is_found_by_the_type(connection, monkeypatch):
    monkeypatch.setattr(log, "_FEW", -1)
    filters = DeliveryFilter(webhook_id="wh_1", event_type="paid")
    assert "unihooks_deliveries_by_type" in plan_of(connection, log._DELIVERIES, filters)
    monkeypatch.setattr(log, "_FEW_ENTRIES", -1)
    assert "unihooks_deliveries_by_webhook" in plan_of(connection, log._DELIVERIES, filters)


def test_many_pending_deliveries_are_not_sorted(connection, monkeypatch):
    monkeypatch.setattr(log, "_FEW", -1)
    filters = DeliveryFilter(state=DeliveryState.PENDING)
    assert "SEARCH d USING PRIMARY KEY (tenant=?)" in plan_of(connection, log._DELIVERIES, filters)


@pytest.mark.parametrize(
    "filters",
    [DeliveryFilter(state=DeliveryState.FAILED), DeliveryFilter(event_type="paid"), DeliveryFilter(webhook_id="wh_1")],
    ids=str,
)
def test_counting_looks_at_an_index_alone(connection, filters):
    assert "USING COVERING INDEX" in plan_of(connection, log._COUNTED, filters)
