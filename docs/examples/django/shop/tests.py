"""What the shop emits, and what its customers receive."""

from django.test import TestCase, TransactionTestCase

from shop.hooks import dispatcher
from unihooks import Dispatcher, EventSubscription, Webhook
from unihooks.integrations.django import UnihooksTestMixin, store
from unihooks.testing import Receiver


def emitted():
    return [event.payload for event in dispatcher().log.events()]


class BuyTests(UnihooksTestMixin, TestCase):
    """In a `TestCase`, all that the dispatcher does is part of the test's transaction."""

    def test_a_purchase_is_emitted(self):
        self.client.get("/buy/7")
        assert emitted() == [{"number": 7}]

    def test_a_refused_payment_is_not(self):
        self.client.raise_request_exception = False
        self.client.get("/buy/7?fail=1")
        assert emitted() == []

    def test_customers_receive_it(self):
        with Receiver() as receiver:
            sender = Dispatcher(store("default"), targets=receiver.targets, ssl_context=receiver.ssl_context)
            webhook = Webhook(name="CRM", endpoints=[receiver.url], subscriptions=[EventSubscription("shop", "*")])
            sender.webhooks.activate(sender.webhooks.add(webhook).id)
            self.client.get("/buy/7")
            assert sender.drain().delivered == 1
            assert receiver.requests[0].json() == {"number": 7}


class CommitTests(UnihooksTestMixin, TransactionTestCase):
    """A `TransactionTestCase` commits; the mixin removes what it leaves."""

    def test_a_commit_is_planned(self):
        self.client.get("/buy/8")
        assert dispatcher().drain().planned == 1

    def test_nothing_is_left_of_other_tests(self):
        assert emitted() == []
