"""SQLite reads little more than a filter shows, however large the log is."""

from __future__ import annotations

import sqlite3

import pytest

from unihooks import DeliveryState
from unihooks.abc import DeliveryFilter, Window
from unihooks.stores import SQLiteStore
from unihooks.stores.sql import log, searching
from unihooks.stores.sqlite.transaction import STATEMENTS, SQLiteTransaction

TENANT = "acme"
WINDOW = Window(limit=50)


class Explained(SQLiteTransaction):
    """A transaction that keeps the plan of the last listing or count of each name."""

    def __init__(self, connection):
        super().__init__(connection, lambda: 0)
        self._connection = connection
        self.plans = {}

    def select(self, name, selection):
        self._explain(name, selection)
        return super().select(name, selection)

    def count(self, name, selection):
        self._explain(name, selection)
        return super().count(name, selection)

    def _explain(self, name, selection):
        statement = f"EXPLAIN QUERY PLAN {STATEMENTS.selecting(name, selection)}"
        rows = self._connection.execute(statement, selection.values | {"limit": selection.limit})
        self.plans.pop(name, None)
        self.plans[name] = "\n".join(row[3] for row in rows)

    @property
    def last_plan(self):
        return list(self.plans.values())[-1]


@pytest.fixture
def tx(tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db")
    store.migrate()
    store.close()
    with sqlite3.connect(tmp_path / "webhooks.db") as connection:
        yield Explained(connection)
    connection.close()


def plan_of_listing(tx, filters):
    log.list_deliveries(tx, TENANT, filters, WINDOW)
    return tx.last_plan


def plan_of_count(tx, filters):
    log.count_deliveries(tx, TENANT, filters, 10_000)
    return tx.last_plan


@pytest.mark.parametrize(
    "filters, index",
    [
        (DeliveryFilter(), "SEARCH d USING PRIMARY KEY (tenant=?)"),
        (DeliveryFilter(state=DeliveryState.FAILED), "unihooks_deliveries_undelivered (tenant=? AND state=?)"),
        (DeliveryFilter(state=DeliveryState.CANCELLED), "unihooks_deliveries_undelivered (tenant=? AND state=?)"),
        (DeliveryFilter(state=DeliveryState.FAILED, webhook_id="wh_1"), "by_webhook (webhook_id=? AND state=?)"),
        (DeliveryFilter(state=DeliveryState.CANCELLED, webhook_id="wh_1"), "by_webhook (webhook_id=? AND state=?)"),
        (DeliveryFilter(state=DeliveryState.PENDING), "unihooks_deliveries_due (endpoint_id=?)"),
        (DeliveryFilter(held=True), "unihooks_deliveries_due (endpoint_id=?)"),
        (DeliveryFilter(event_type="paid"), "unihooks_deliveries_by_type (tenant=? AND event_type=?)"),
        (DeliveryFilter(webhook_id="wh_1"), "unihooks_deliveries_by_webhook (webhook_id=?)"),
        (DeliveryFilter(webhook_id="wh_1", event_type="paid"), "unihooks_deliveries_by_webhook (webhook_id=?)"),
        (DeliveryFilter(event_id="evt_1"), "SEARCH o USING PRIMARY KEY (tenant=? AND id>? AND id<?)"),
        (DeliveryFilter(event_id="evt_1"), "unihooks_deliveries_replayed (event_id=?)"),
        (DeliveryFilter(status_code=(503, 503)), "COVERING INDEX unihooks_deliveries_refused (tenant=?"),
        (DeliveryFilter(status_code=(503, 503), webhook_id="wh_1"), "unihooks_deliveries_by_webhook (webhook_id=?)"),
        (DeliveryFilter(since=1, until=2), "SEARCH d USING PRIMARY KEY (tenant=? AND id>? AND id<?)"),
    ],
    ids=str,
)
def test_a_filter_has_its_index(tx, filters, index):
    assert index in plan_of_listing(tx, filters)


def test_a_rare_event_type_of_a_webhook_with_many_deliveries_is_found_by_the_type(tx, monkeypatch):
    monkeypatch.setattr(log, "_FEW", -1)
    filters = DeliveryFilter(webhook_id="wh_1", event_type="paid")
    assert "unihooks_deliveries_by_type" in plan_of_listing(tx, filters)
    monkeypatch.setattr(log, "_FEW_ENTRIES", -1)
    assert "unihooks_deliveries_by_webhook" in plan_of_listing(tx, filters)


def test_failures_of_a_webhook_with_many_deliveries_are_found_by_the_status_code(tx, monkeypatch):
    monkeypatch.setattr(log, "_FEW", -1)
    filters = DeliveryFilter(webhook_id="wh_1", status_code=(500, 599))
    assert "unihooks_deliveries_refused (tenant=?" in plan_of_listing(tx, filters)


def test_a_search_for_a_delivery_looks_at_its_place(tx):
    log.list_deliveries(tx, TENANT, DeliveryFilter(search="dlv_1"), WINDOW)
    assert "SEARCH d USING PRIMARY KEY (tenant=? AND id>? AND id<?)" in tx.plans["delivery_ids"]


@pytest.mark.parametrize("search", ["evt_1", f"evt_{'1' * 26}"])
def test_a_search_for_an_event_looks_at_its_moment_and_at_replays(tx, search):
    log.list_deliveries(tx, TENANT, DeliveryFilter(search=search), WINDOW)
    assert "SEARCH d USING PRIMARY KEY (tenant=? AND id>? AND id<?)" in tx.plans["delivery_ids"]
    assert "deliveries_replayed (event_id>? AND event_id<?)" in tx.plans["replayed_delivery_ids"]


def test_a_search_for_subjects_has_their_index_unless_they_are_many(tx, monkeypatch):
    log.list_deliveries(tx, TENANT, DeliveryFilter(search="order/"), WINDOW)
    assert "deliveries_by_subject (tenant=? AND subject>? AND subject<?)" in tx.plans["delivery_ids_of_subjects"]
    monkeypatch.setattr(searching, "_MOST_SORTED", 0)
    log.list_deliveries(tx, TENANT, DeliveryFilter(search="order/"), WINDOW)
    assert "SEARCH d USING PRIMARY KEY (tenant=?)" in tx.plans["delivery_ids"]
    assert "TEMP B-TREE" not in tx.plans["delivery_ids"]


@pytest.mark.parametrize("filters", [DeliveryFilter(state=DeliveryState.PENDING), DeliveryFilter(held=True)], ids=str)
def test_many_pending_deliveries_are_not_sorted(tx, monkeypatch, filters):
    monkeypatch.setattr(log, "_FEW", -1)
    plan = plan_of_listing(tx, filters)
    assert "SEARCH d USING PRIMARY KEY (tenant=?)" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "filters",
    [DeliveryFilter(state=DeliveryState.FAILED), DeliveryFilter(event_type="paid"), DeliveryFilter(webhook_id="wh_1")],
    ids=str,
)
@pytest.mark.parametrize("plan_of", [plan_of_listing, plan_of_count])
def test_ids_are_found_in_an_index_only(tx, plan_of, filters):
    assert "USING COVERING INDEX" in plan_of(tx, filters)


@pytest.mark.parametrize("filters", [DeliveryFilter(state=DeliveryState.PENDING), DeliveryFilter(held=True)], ids=str)
def test_waiting_deliveries_are_counted_through_the_lanes(tx, filters):
    plan = plan_of_count(tx, filters)
    assert "SCAN l" in plan
    assert "unihooks_deliveries_due (endpoint_id=?)" in plan
