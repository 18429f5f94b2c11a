"""An operational event is one row in the transaction of the change that it reports."""

from __future__ import annotations

import json

import pytest

from unihooks import EventSubscription, RetryPolicy, Webhook
from unihooks.exceptions import StoreError
from unihooks.stores.sql import telling


@pytest.fixture
def dispatcher(open_dispatcher):
    return open_dispatcher(operational_events=True)


@pytest.fixture
def broken(monkeypatch):
    """Make a transaction fail right after the insert of its event, this many times; return how many are left."""
    tell, left = telling.tell, [0]

    def tell_and_fail(tx, told, at):
        tell(tx, told, at)
        if left[0]:
            left[0] -= 1
            raise StoreError("the disk is full")

    monkeypatch.setattr(telling, "tell", tell_and_fail)
    monkeypatch.setattr("unihooks._delivery.pacing._STORE_PATIENCE_SECONDS", 0.01)
    return left


def kinds(dispatcher):
    return [one.event_type for one in reversed(dispatcher.log.events(product="webhooks", limit=250))]


def made(url="https://example.com/in"):
    return Webhook(name="CRM", endpoints=[url], subscriptions=[EventSubscription("shop", "*")], status="active")


def test_a_change_whose_transaction_fails_is_neither_made_nor_reported(dispatcher, broken):
    broken[0] = 1
    with pytest.raises(StoreError):
        dispatcher.webhooks.add(made())
    assert len(dispatcher.webhooks.list()) == len(kinds(dispatcher)) == 0
    webhook = dispatcher.webhooks.add(made())
    for change in (
        lambda: dispatcher.webhooks.update(webhook.id, name="x"),
        lambda: dispatcher.webhooks.rotate_secret(webhook.id),
        lambda: dispatcher.webhooks.delete(webhook.id),
    ):
        broken[0] = 1
        with pytest.raises(StoreError):
            change()
    assert dispatcher.webhooks.get(webhook.id) == webhook
    assert kinds(dispatcher) == ["webhook.created"]


@pytest.mark.parametrize("status, also", [(410, "endpoint.disabled"), (500, "endpoint.failing")])
def test_a_result_whose_transaction_fails_is_recorded_and_reported_once(
    open_dispatcher, broken, receiver, status, also
):
    dispatcher = open_dispatcher(operational_events=True, retries=RetryPolicy.from_delays([]))
    receiver.always(status)
    webhook = dispatcher.webhooks.add(made(receiver.url_for("/in")))
    dispatcher.emit("shop", "order.paid", {})
    broken[0] = 2
    assert dispatcher.drain(30).failed == 1
    assert broken == [0]
    assert sorted(kinds(dispatcher)) == ["delivery.failed", also, "webhook.created"]
    [failed] = dispatcher.log.events(event_type="delivery.failed")
    assert failed.payload["webhook"]["id"] == webhook.id


def test_workers_of_other_dispatchers_plan_and_send_operational_events(open_dispatcher, receiver):
    dispatcher, worker = open_dispatcher(operational_events=True), open_dispatcher()
    watch = Webhook(name="w", endpoints=[receiver.url_for("/told")], subscriptions=[EventSubscription("webhooks", "*")])
    dispatcher.webhooks.activate(dispatcher.webhooks.add(watch).id)
    dispatcher.webhooks.add(made())
    assert worker.drain(30).delivered == 2
    told = [(one.headers["unihooks-event"], json.loads(one.body)["webhook"]["name"]) for one in receiver.requests]
    assert sorted(told) == [("webhook.activated", "w"), ("webhook.created", "CRM")]
