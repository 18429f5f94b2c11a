"""Cases that Django's runner runs with the settings of the example: see test_django.py."""

from __future__ import annotations

import unittest
import urllib.request

import pytest
from django.db import connection, transaction
from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from shop.hooks import dispatcher

from unihooks import Dispatcher, EventSubscription, Webhook
from unihooks.exceptions import IdempotencyConflict
from unihooks.integrations.django import UnihooksTestMixin, aemit, emit, store
from unihooks.testing import FakeClock, Receiver

# It is made before the test database exists.
EARLY = Dispatcher(store())
IN_MEMORY = connection.vendor == "sqlite" and not connection.settings_dict["TEST"]["NAME"]


def webhook(name="CRM", url="https://crm.example.com/in"):
    return Webhook(name=name, endpoints=[url], subscriptions=[EventSubscription("shop", "*")])


def names():
    return [one.name for one in dispatcher().webhooks.list()]


def payloads():
    return [event.payload for event in dispatcher().log.events()]


class DataOfAClass(UnihooksTestMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.webhook = dispatcher().webhooks.add(webhook())

    def check(self):
        dispatcher().webhooks.activate(self.webhook.id)
        assert names() == ["CRM"]
        dispatcher().webhooks.add(webhook("of this test"))
        emit(dispatcher(), "shop", "paid", 1)
        assert dispatcher().drain().attempted == 1

    test_it_is_there = check
    test_what_another_test_did_is_not = check


class WithoutTheMixin(TestCase):
    def check(self):
        assert names() == payloads() == []
        dispatcher().webhooks.add(webhook())
        dispatcher().emit("shop", "paid", 1)

    test_what_a_test_case_does = check
    test_goes_with_it = check


class Transactions(UnihooksTestMixin, TestCase):
    def test_savepoints_undo_what_was_done_after_them(self):
        def fail():
            with transaction.atomic():
                emit(dispatcher(), "shop", "paid", 2)
                dispatcher().webhooks.add(webhook())
                raise ZeroDivisionError

        emit(dispatcher(), "shop", "paid", 1)
        with pytest.raises(ZeroDivisionError):
            fail()
        assert (payloads(), names()) == ([1], [])

    def test_a_refusal_of_the_store_leaves_the_transaction_usable(self):
        first = dispatcher().emit("shop", "paid", 1, idempotency_key="k")
        assert dispatcher().emit("shop", "paid", 1, idempotency_key="k") == first
        with pytest.raises(IdempotencyConflict):
            dispatcher().emit("shop", "paid", 2, idempotency_key="k")
        assert payloads() == [1]

    def test_a_dispatcher_of_earlier_is_in_the_test_database_too(self):
        EARLY.emit("shop", "paid", 1)
        assert payloads() == [1]

    def test_operational_events_are_rolled_back_with_the_change_that_they_report(self):
        def fail(telling):
            with transaction.atomic():
                telling.webhooks.add(webhook())
                raise ZeroDivisionError

        with Dispatcher(store(), operational_events=True) as telling:
            with pytest.raises(ZeroDivisionError):
                fail(telling)
            telling.webhooks.add(webhook("kept"))
        assert [event["webhook"]["name"] for event in payloads()] == names() == ["kept"]

    async def test_asynchronous_tests_see_the_same(self):
        await aemit(dispatcher(), "shop", "paid", 1)
        await dispatcher().aemit("shop", "paid", 2)
        await dispatcher().webhooks.aadd(webhook())
        assert sorted(event.payload for event in await dispatcher().log.aevents()) == [1, 2]

    def test_a_clock_of_the_test_counts(self):
        clock = FakeClock()
        with (
            Receiver() as receiver,
            Dispatcher(store(), clock=clock, targets=receiver.targets, ssl_context=receiver.ssl_context) as timed,
        ):
            timed.webhooks.activate(timed.webhooks.add(webhook(url=receiver.url)).id)
            receiver.answer(503, 204)
            assert timed.emit("shop", "paid", 1).created_at == clock.now
            assert timed.drain().delivered == 0
            clock.advance(60)
            assert timed.drain().delivered == 1


class Committed(UnihooksTestMixin, TransactionTestCase):
    def check(self):
        assert names() == payloads() == []
        dispatcher().webhooks.add(webhook())
        with transaction.atomic():
            emit(dispatcher(), "shop", "paid", 1)
        assert dispatcher().drain().planned == 1

    test_what_is_committed_is_removed = check
    test_with_all_that_belongs_to_it = check

    @unittest.skipIf(IN_MEMORY, "a worker would need another connection")
    def test_a_worker_may_run(self):
        with (
            Receiver() as receiver,
            Dispatcher(store(), targets=receiver.targets, ssl_context=receiver.ssl_context) as sender,
            sender.running(),
        ):
            sender.webhooks.activate(sender.webhooks.add(webhook(url=receiver.url)).id)
            with transaction.atomic():
                emit(sender, "shop", "paid", 1)
            receiver.wait_for(1)


class OverHTTP(UnihooksTestMixin, LiveServerTestCase):
    def test_a_server_in_a_thread_emits_where_the_test_looks(self):
        with urllib.request.urlopen(f"{self.live_server_url}/buy/7") as answer:
            assert answer.status == 200
        assert payloads() == [{"number": 7}]
