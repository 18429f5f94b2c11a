from __future__ import annotations

import pytest

from unihooks import Dispatcher, EventSubscription, HeaderSet, Webhook
from unihooks._message.wire_names import WireNames
from unihooks.exceptions import InvalidArgument, InvalidHeader
from unihooks.stores import MemoryStore


@pytest.mark.parametrize("prefix", ["acme", "a", "x-acme-2", "a" * 40])
def test_prefix_is_kept(prefix):
    assert WireNames(prefix).prefix == prefix


@pytest.mark.parametrize(
    "prefix",
    ["", "Acme", "acme-", "-acme", "a--b", "a_b", "a b", "7up", "é", "a" * 41, "a\r\nb", "webhook", "webhook-x", "ce"],
)
def test_prefix_that_could_not_begin_a_header_is_refused(prefix):
    with pytest.raises(InvalidArgument, match="header_prefix") as caught:
        Dispatcher(MemoryStore(), header_prefix=prefix)
    assert caught.value.name == "header_prefix"


@pytest.mark.parametrize("agent", ["", " a", "a ", "a\nb", "é", "a" * 201])
def test_user_agent_that_is_no_header_value_is_refused(agent):
    with pytest.raises(InvalidArgument, match="user_agent") as caught:
        Dispatcher(MemoryStore(), user_agent=agent)
    assert caught.value.name == "user_agent"


@pytest.mark.parametrize("options", [{"header_prefix": None}, {"header_prefix": 7}, {"user_agent": b"x"}])
def test_name_of_another_type_is_refused(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        Dispatcher(MemoryStore(), **options)


@pytest.mark.parametrize("agent", ["Acme-Webhooks/1.0", None])
def test_requests_and_log_go_by_the_names_of_the_host(new_dispatcher, receiver, agent):
    dispatcher = new_dispatcher(header_prefix="acme", user_agent=agent)
    webhook = dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[receiver.url_for("/crm")],
            subscriptions=[EventSubscription("shop", "order.paid")],
        )
    )
    dispatcher.webhooks.activate(webhook.id)
    dispatcher.webhooks.send_test(webhook.id, product="shop", event_type="order.paid", payload={})
    dispatcher.emit("shop", "order.paid", {}, subject="order/7")
    assert dispatcher.drain().delivered == 1
    for request in receiver.requests:
        assert request.headers["user-agent"] == (agent or "acme-webhooks")
        assert "unihooks" not in request.headers["user-agent"]
        assert request.headers["acme-product"] == "shop"
        assert request.headers["acme-event"] == "order.paid"
        assert request.headers["acme-webhook"] == webhook.id
        assert not [name for name in request.headers if "unihooks" in name]
    assert receiver.requests[-1].headers["acme-subject"] == "order/7"
    [delivery] = dispatcher.log.deliveries()
    [attempt] = dispatcher.log.attempts(delivery.id)
    shown = dict(attempt.request_headers)
    assert shown["acme-event"] == "order.paid"
    assert shown["acme-subject"] == "order/7"
    assert "unihooks" not in str(shown)


def test_headers_of_the_host_cannot_be_those_of_a_webhook():
    dispatcher = Dispatcher(MemoryStore(), header_prefix="acme")
    headers = HeaderSet({"Acme-Event": "x"})
    with pytest.raises(InvalidHeader, match="Acme-Event") as caught:
        dispatcher.webhooks.add(Webhook(name="CRM", endpoints=["https://crm.example.com/"], headers=headers))
    assert caught.value.name == "Acme-Event"
    webhook = dispatcher.webhooks.add(Webhook(name="CRM", endpoints=["https://crm.example.com/"]))
    with pytest.raises(InvalidHeader, match="Acme-Event"):
        dispatcher.webhooks.update(webhook.id, headers=headers)
