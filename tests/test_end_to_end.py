"""The main job, from a customer's registration to the customer's server."""

from __future__ import annotations

import enum

from unihooks import (
    DeliveryState,
    Dispatcher,
    EventSubscription,
    HeaderSet,
    PayloadMapping,
    Webhook,
    verify,
)
from unihooks.stores import SQLiteStore
from unihooks.testing import Receiver

PAYLOAD = {"sender": {"id": 7, "name": "Ada"}, "content": {"text": "Hello"}}


def test_an_emitted_event_arrives_signed_mapped_and_is_logged(receiver: Receiver, tmp_path):
    with Dispatcher(
        SQLiteStore(tmp_path / "webhooks.db"), targets=receiver.targets, ssl_context=receiver.ssl_context
    ) as dispatcher:
        webhook = dispatcher.webhooks.add(
            Webhook(
                name="CRM sync",
                endpoints=[receiver.url_for("/crm"), receiver.url_for("/audit")],
                description="Copies inbound messages to the CRM",
                subscriptions=[EventSubscription("whatsapp", "message.received")],
                mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
                headers=HeaderSet({"Authorization": "Bearer s3cr3t"}),
            ),
            tenant="acme",
        )
        dispatcher.webhooks.activate(webhook.id, tenant="acme")

        with dispatcher.running():
            event = dispatcher.emit("whatsapp", "message.received", PAYLOAD, tenant="acme")
            requests = receiver.wait_for(2)

        assert {request.path for request in requests} == {"/crm", "/audit"}
        for request in requests:
            message = verify(request.headers, request.body, webhook.secrets)
            assert message.id == event.id
            assert request.json() == {"sender": {"id": 7}, "content": {"body": "Hello"}}
            assert request.headers["authorization"] == "Bearer s3cr3t"
            assert request.headers["unihooks-event"] == "message.received"

        deliveries = dispatcher.log.deliveries(tenant="acme")
        assert [delivery.state for delivery in deliveries] == [DeliveryState.DELIVERED] * 2
        attempt = dispatcher.log.attempts(deliveries[0].id, tenant="acme")[0]
        assert attempt.status_code == 204
        assert ("Authorization", "***") in attempt.request_headers


def test_an_event_is_delivered_without_a_worker_by_drain(receiver: Receiver, tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db")
    with Dispatcher(store, targets=receiver.targets, ssl_context=receiver.ssl_context) as dispatcher:
        webhook = dispatcher.webhooks.add(
            Webhook(name="CRM", endpoints=[receiver.url], subscriptions=[EventSubscription("whatsapp", "*")])
        )
        dispatcher.webhooks.activate(webhook.id)
        dispatcher.emit("whatsapp", "message.received", PAYLOAD)
        assert dispatcher.drain().delivered == 1

    assert receiver.requests[0].json() == PAYLOAD


async def test_an_async_host_awaits_every_step(receiver: Receiver, tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db")
    async with Dispatcher(store, targets=receiver.targets, ssl_context=receiver.ssl_context) as dispatcher:
        webhook = await dispatcher.webhooks.aadd(
            Webhook(name="CRM", endpoints=[receiver.url], subscriptions=[EventSubscription("whatsapp", "*")])
        )
        await dispatcher.webhooks.aactivate(webhook.id)
        await dispatcher.aemit("whatsapp", "message.received", PAYLOAD)
        result = await dispatcher.adrain()

    assert (result.planned, result.attempted, result.delivered, result.failed) == (1, 1, 1, 0)


class Name(str, enum.Enum):  # noqa: UP042 - the older kind, which formats as its name
    PRODUCT = "chat"
    EVENT = "message.received"
    TENANT = "acme"
    HEADER = "X-Key"
    VALUE = "s3cr3t"


def test_members_of_text_enums_are_sent_as_their_values(host):
    webhook = host.webhook(
        tenant=Name.TENANT,
        subscriptions=[EventSubscription(Name.PRODUCT, Name.EVENT)],
        headers={Name.HEADER: Name.VALUE},
    )
    host.dispatcher.webhooks.send_test(
        webhook.id, tenant=Name.TENANT, product=Name.PRODUCT, event_type=Name.EVENT, payload={}
    )
    event = host.dispatcher.emit(Name.PRODUCT, Name.EVENT, {}, tenant=Name.TENANT)
    host.dispatcher.drain()
    assert f"{webhook.tenant} {event.tenant} {event.product} {event.event_type}" == "acme acme chat message.received"
    for request in host.received():
        assert request.headers["unihooks-product"] == "chat"
        assert request.headers["unihooks-event"] == "message.received"
        assert request.headers["x-key"] == "s3cr3t"
    assert len(host.received()) == 2
