"""Customers learn what happens to their webhooks from operational events."""

from __future__ import annotations

import json

import pytest

from unihooks import Catalog, EventSubscription, Webhook
from unihooks.exceptions import Conflict, UnknownEventType

TOLD = [EventSubscription("webhooks", "*")]


@pytest.fixture
def telling(new_dispatcher, host):
    """Give a dispatcher with operational events, and a webhook of its customer's at /told that gets all of them."""
    dispatcher = new_dispatcher(operational_events=True)
    host.webhook("/told", name="Watch", subscriptions=TOLD)
    return dispatcher


def said(host, path="/told"):
    """Return the types of operational events that arrived, and their payloads by type."""
    received = [(one.headers["unihooks-event"], json.loads(one.body)) for one in about(host, path)]
    return [kind for kind, _ in received], dict(received)


def about(host, path="/told"):
    """Return what arrived, but for what is about the webhook that gets it."""
    return [one for one in host.received(path) if json.loads(one.body)["webhook"]["name"] != "Watch"]


def test_a_customer_is_notified_of_a_failed_delivery_and_of_a_disabled_endpoint(telling, host):
    webhook = host.webhook("/in?token=s3cr3t", headers={"X-Key": "h1dden"})
    host.receiver.on("/in").always(410)
    event = host.emit()
    telling.drain()
    kinds, told = said(host)
    assert sorted(kinds) == ["delivery.failed", "endpoint.disabled", "webhook.activated", "webhook.created"]
    failed = told["delivery.failed"]
    assert (failed["webhook"], failed["status_code"]) == ({"id": webhook.id, "name": "CRM sync"}, 410)
    assert failed["delivery"]["event_id"] == event.id
    assert failed["reason"] == told["endpoint.disabled"]["reason"] == "the endpoint returned 410 Gone"
    assert told["endpoint.disabled"]["endpoint"]["id"] == webhook.endpoints[0].id
    bodies = b"".join(one.body for one in host.received("/told"))
    assert b"s3cr3t" not in bodies
    assert b"h1dden" not in bodies


def test_a_customer_is_notified_of_a_failing_endpoint_and_of_its_recovery(telling, host):
    webhook = host.webhook("/in")
    host.receiver.on("/in").answer(*[503] * 2)
    host.emit()
    telling.drain()
    kinds, told = said(host)
    assert kinds.count("endpoint.failing") == 1
    failing = told["endpoint.failing"]
    assert (failing["reason"], failing["status_code"]) == ("the endpoint returned 503", 503)
    assert failing["endpoint"]["id"] == webhook.endpoints[0].id

    host.clock.advance(60)
    telling.drain()
    host.clock.advance(7_200)
    for number in range(20):
        host.emit({"n": number})
    telling.drain()
    kinds, told = said(host)
    assert (kinds.count("endpoint.failing"), kinds.count("endpoint.recovered")) == (1, 1)
    assert (told["endpoint.recovered"]["reason"], told["endpoint.recovered"]["status_code"]) == (None, 204)


def test_the_hosts_hooks_are_called_for_the_same_changes(new_dispatcher, host):
    failing, recovered = [], []
    dispatcher = new_dispatcher(on_endpoint_failing=failing.append, on_endpoint_recovered=recovered.append)
    webhook = host.webhook("/in", tenant="acme")
    host.receiver.on("/in").answer(500, 500)
    host.emit(tenant="acme")
    dispatcher.drain()
    host.clock.advance(60)
    dispatcher.drain()
    [endpoint] = failing
    assert (endpoint.id, endpoint.webhook_id, endpoint.tenant) == (webhook.endpoints[0].id, webhook.id, "acme")
    assert endpoint.health.failing
    assert recovered == []
    host.clock.advance(7_200)
    for number in range(20):
        host.emit({"n": number}, tenant="acme")
    dispatcher.drain()
    assert (len(failing), [one.id for one in recovered]) == (1, [endpoint.id])
    assert not recovered[0].health.failing


def test_a_successful_test_reports_the_recovery_to_hooks_and_customers(new_dispatcher, host):
    recovered = []
    dispatcher = new_dispatcher(operational_events=True, on_endpoint_recovered=recovered.append)
    webhook = host.webhook("/in")
    host.receiver.on("/in").answer(500)
    host.emit()
    dispatcher.drain()
    for _ in range(2):
        dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="message.received", payload={})
    dispatcher.settings.changes.finish(30)
    assert [(one.id, one.webhook_id) for one in recovered] == [(webhook.endpoints[0].id, webhook.id)]
    kinds = [one.event_type for one in dispatcher.log.events(limit=250)]
    assert (kinds.count("endpoint.failing"), kinds.count("endpoint.recovered")) == (1, 1)


def test_operational_events_are_signed_logged_and_replayed_like_any_other(telling, host):
    telling.webhooks.add(Webhook(name="new", endpoints=["https://example.com/"]))
    telling.drain()
    [request] = about(host)
    [watch] = telling.webhooks.list(search="Watch")
    host.verify(request, watch.secrets[0])
    delivery = host.only(event_type="webhook.created", state="delivered")
    telling.log.replay(delivery.id)
    telling.drain()
    assert len(about(host)) == 2


def test_each_verb_tells_its_own_event(telling, host):
    webhooks = telling.webhooks
    made = webhooks.add(Webhook(name="new", endpoints=["https://example.com/"]))
    endpoint = made.endpoints[0]
    webhooks.activate(made.id)
    webhooks.activate(made.id)
    webhooks.update(made.id, description="text", metadata={"plan": "gold"})
    webhooks.rotate_secret(made.id)
    webhooks.disable_endpoint(made.id, endpoint.id, reason="it moves")
    webhooks.enable_endpoint(made.id, endpoint.id)
    webhooks.deactivate(made.id)
    webhooks.delete(made.id)
    telling.drain()
    kinds, told = said(host)
    assert sorted(kinds) == sorted(
        [
            "webhook.created",
            "webhook.activated",
            "webhook.updated",
            "secret.rotated",
            "endpoint.disabled",
            "webhook.updated",
            "webhook.deactivated",
            "webhook.deleted",
        ]
    )
    assert told["endpoint.disabled"]["reason"] == "it moves"
    assert told["webhook.deleted"]["webhook"]["id"] == made.id
    updates = [json.loads(one.body) for one in host.received("/told") if b"changed" in one.body]
    assert sorted(one["changed"] for one in updates) == [["description", "metadata"], ["endpoints"]]


def test_a_webhook_that_is_added_active_gets_the_event_of_its_own_creation(new_dispatcher, host):
    dispatcher = new_dispatcher(operational_events=True)
    for name, status in (("off", "inactive"), ("on", "active")):
        url = host.receiver.url_for(f"/{name}")
        dispatcher.webhooks.add(Webhook(name=name, endpoints=[url], subscriptions=TOLD, status=status))
    dispatcher.drain()
    assert said(host, "/off")[0] == []
    assert [json.loads(one.body)["webhook"]["name"] for one in host.received("/on")] == ["on"]


def test_operational_events_about_an_endpoint_that_receives_them_never_loop(telling, host):
    host.receiver.on("/told").always(500)
    for _ in range(6):
        telling.webhooks.add(Webhook(name="new", endpoints=["https://example.com/"]))
        for _ in range(3):
            host.clock.advance(700)
            telling.drain()
    events = telling.log.events(limit=250)
    assert {one.event_type for one in events} == {"webhook.created", "webhook.activated"}
    assert len([one for one in events if one.payload["webhook"]["name"] == "new"]) == 6


def test_they_are_stored_without_subscribers_too(new_dispatcher):
    dispatcher = new_dispatcher(operational_events=True)
    dispatcher.webhooks.add(Webhook(name="new", endpoints=["https://example.com/"]), tenant="acme")
    [event] = dispatcher.log.events(tenant="acme")
    assert (event.product, event.event_type) == ("webhooks", "webhook.created")


def test_without_them_nothing_is_stored_and_the_product_is_the_hosts(new_dispatcher, host):
    dispatcher = new_dispatcher()
    host.webhook()
    assert len(dispatcher.log.events()) == 0
    assert dispatcher.emit("webhooks", "webhook.created", {}).product == "webhooks"


@pytest.mark.parametrize("with_catalog", [True, False])
async def test_the_product_is_reserved(new_dispatcher, with_catalog):
    dispatcher = new_dispatcher(operational_events=True, catalog=Catalog() if with_catalog else None)
    with pytest.raises(UnknownEventType, match="reserved") as refused:
        dispatcher.emit("webhooks", "webhook.created", {})
    assert refused.value.name == "product"
    with pytest.raises(UnknownEventType, match="reserved"):
        await dispatcher.aemit("webhooks", "webhook.created", {})
    with pytest.raises(UnknownEventType, match="reserved"):
        dispatcher.emit_many([("webhooks", "webhook.created", {})])
    assert len(dispatcher.log.events()) == 0


def test_the_catalog_offers_them_once_and_no_product_of_that_name_beside_them(new_dispatcher):
    catalog = Catalog()
    for _ in range(2):
        new_dispatcher(operational_events=True, catalog=catalog)
    assert [product.name for product in catalog] == ["webhooks"]
    assert catalog.check("webhooks", "secret.rotated").title == "Signing secret rotated"
    mine = Catalog()
    mine.add_product("webhooks")
    with pytest.raises(Conflict, match="another name"):
        new_dispatcher(operational_events=True, catalog=mine)


def test_a_test_sends_the_example(new_dispatcher, host):
    dispatcher = new_dispatcher(operational_events=True, catalog=Catalog())
    webhook = host.webhook("/in", active=False, subscriptions=TOLD)
    [attempt] = dispatcher.webhooks.send_test(webhook.id, product="webhooks", event_type="delivery.failed")
    assert attempt.succeeded
    assert said(host, "/in")[1]["delivery.failed"]["status_code"] == 503


def test_only_true_switches_them_on(new_dispatcher):
    with pytest.raises(TypeError, match="operational_events must be True or False"):
        new_dispatcher(operational_events="webhooks")
