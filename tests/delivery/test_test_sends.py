"""Test sends of one tenant use no thread of the host, and few requests at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from unihooks import EventSubscription, Limits, Webhook
from unihooks._delivery import test_sends
from unihooks.exceptions import LimitReached
from unihooks.testing import Answer

SENT = {"product": "chat", "event_type": "x", "payload": {"a": 1}}


class Refusing(ThreadPoolExecutor):
    """The threads of the host, which nobody may use."""

    def submit(self, function, /, *_args, **_kwargs):
        raise AssertionError(f"{function} was to run in a thread of the host")


@pytest.fixture
def dispatcher(new_dispatcher):
    return new_dispatcher(deadline=2)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(test_sends, "_MOST_PATIENCE", 0.2)


@pytest.fixture
def hanging(dispatcher, receiver):
    receiver.on("/hang").always(Answer(hang=True))
    return dispatcher.webhooks.add(Webhook(name="h", endpoints=[receiver.url_for("/hang")]), tenant="slow")


def requests(receiver, path: str) -> int:
    return sum(request.path == path for request in receiver.requests)


async def test_awaitable_twins_use_no_thread_of_the_host(dispatcher, receiver):
    asyncio.get_running_loop().set_default_executor(Refusing())
    webhooks, log = dispatcher.webhooks, dispatcher.log
    subscriptions = [EventSubscription("chat", "*")]
    webhook = await webhooks.aadd(Webhook(name="n", endpoints=[receiver.url], subscriptions=subscriptions))
    await webhooks.aactivate(webhook.id)
    event = await dispatcher.aemit("chat", "x", {})
    await dispatcher.aemit_many([("chat", "x", {})])
    await dispatcher.adrain(5)
    assert len(await log.adeliveries()) == 2
    assert (await log.aevent(event.id)).id == event.id
    assert (await webhooks.asend_test(webhook.id, **SENT))[0].succeeded
    await dispatcher.astats()
    await dispatcher.aclose()


async def test_awaited_test_is_sent_in_the_running_loop(dispatcher, receiver, monkeypatch):
    loops, exchange = [], test_sends.exchange

    async def noted(*args, **kwargs):
        loops.append(asyncio.get_running_loop())
        return await exchange(*args, **kwargs)

    monkeypatch.setattr(test_sends, "exchange", noted)
    webhook = await dispatcher.webhooks.aadd(Webhook(name="n", endpoints=[receiver.url]))
    assert (await dispatcher.webhooks.asend_test(webhook.id, **SENT))[0].succeeded
    assert loops == [asyncio.get_running_loop()]


async def test_tests_in_flight_are_limited_for_each_tenant(dispatcher, receiver, hanging, impatient):
    tests = [asyncio.ensure_future(dispatcher.webhooks.asend_test(hanging.id, tenant="slow", **SENT)) for _ in range(9)]
    await asyncio.to_thread(receiver.wait_for, 5, 30)
    other = await dispatcher.webhooks.aadd(Webhook(name="n", endpoints=[receiver.url_for("/ok")]), tenant="quick")
    assert (await dispatcher.webhooks.asend_test(other.id, tenant="quick", **SENT))[0].succeeded
    refused = [await one for one in asyncio.as_completed(map(_error, tests))][:4]
    assert [(type(error), error.name) for error in refused] == [(LimitReached, "tests_in_flight")] * 4
    assert requests(receiver, "/hang") == 5


async def _error(test):
    (await asyncio.wait([test]))
    return test.exception()


async def test_tests_that_end_make_room_for_those_that_wait(dispatcher, receiver):
    webhook = await dispatcher.webhooks.aadd(Webhook(name="n", endpoints=[receiver.url]))
    found = await asyncio.gather(*(dispatcher.webhooks.asend_test(webhook.id, **SENT) for _ in range(12)))
    assert all(attempts[0].succeeded for attempts in found)


async def test_test_that_was_cancelled_or_failed_takes_no_room(dispatcher, receiver, hanging):
    for _ in range(2):
        tests = [
            asyncio.ensure_future(dispatcher.webhooks.asend_test(hanging.id, tenant="slow", **SENT)) for _ in range(5)
        ]
        await asyncio.to_thread(receiver.wait_for, 5, 30)
        for test in tests:
            test.cancel()
        await asyncio.gather(*tests, return_exceptions=True)
        receiver.clear()
    ok = dispatcher.webhooks.add(Webhook(name="n", endpoints=[receiver.url_for("/ok")]), tenant="slow")
    assert dispatcher.webhooks.send_test(ok.id, tenant="slow", **SENT)[0].succeeded


def test_test_that_blocks_counts_with_those_that_are_awaited(dispatcher, receiver, hanging, impatient):
    with ThreadPoolExecutor(7) as pool:
        tests = [pool.submit(dispatcher.webhooks.send_test, hanging.id, tenant="slow", **SENT) for _ in range(7)]
    assert sum(isinstance(test.exception(), LimitReached) for test in tests) == 2


@pytest.mark.parametrize("most", [1, 3])
async def test_host_sets_how_many_tests_may_be_in_flight(new_dispatcher, receiver, impatient, most):
    receiver.on("/hang").always(Answer(hang=True))
    dispatcher = new_dispatcher(deadline=2, limits=Limits(tests_in_flight=most))
    webhook = dispatcher.webhooks.add(Webhook(name="h", endpoints=[receiver.url_for("/hang")]))
    tests = [dispatcher.webhooks.asend_test(webhook.id, **SENT) for _ in range(most + 2)]
    found = await asyncio.gather(*tests, return_exceptions=True)
    assert sum(isinstance(one, LimitReached) for one in found) == 2
    assert requests(receiver, "/hang") == most
