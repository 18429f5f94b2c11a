"""The fixtures of the plugin."""

from __future__ import annotations

from unihooks import EventSubscription, Webhook
from unihooks.stores import MemoryStore
from unihooks.testing import FakeClock, Receiver, RecordingDispatcher


def test_fixtures_give_the_kit(unihooks_receiver, unihooks_clock, unihooks_recorder, unihooks_store):
    assert isinstance(unihooks_receiver, Receiver)
    assert isinstance(unihooks_clock, FakeClock)
    assert isinstance(unihooks_recorder, RecordingDispatcher)
    assert isinstance(unihooks_store, MemoryStore)


def test_dispatcher_delivers_to_the_receiver(unihooks_dispatcher, unihooks_receiver):
    webhook = unihooks_dispatcher.webhooks.add(
        Webhook(name="a", endpoints=[unihooks_receiver.url], subscriptions=[EventSubscription("shop", "*")])
    )
    unihooks_dispatcher.webhooks.activate(webhook.id)
    unihooks_dispatcher.emit("shop", "order.paid", {"n": 1})
    unihooks_dispatcher.drain()
    assert [request.json() for request in unihooks_receiver.requests] == [{"n": 1}]
