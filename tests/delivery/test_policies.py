"""The effect of a webhook's policy and of the circuit breaker on deliveries, with a real receiver."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from waiting import wait_for

from unihooks import CircuitBreaker, DeliveryPolicy, Limits, RetryPolicy, Webhook
from unihooks._delivery.decisions import granted
from unihooks.abc import Claimed, Terms
from unihooks.exceptions import InvalidWebhook
from unihooks.testing import Answer

BREAKER = CircuitBreaker(failures=3, pause=30, longest=100)
# A pause takes up to a fifth longer.
PAUSE = 36


def emit(host, count):
    host.dispatcher.emit_many([("chat", "message.received", number) for number in range(count)])


def attempts(host):
    return [one for each in host.deliveries() for one in host.dispatcher.log.attempts(each.id)]


def most_at_once(host):
    """Return how many attempts were under way at one time, as the log tells."""
    edges = []
    for one in attempts(host):
        end = one.started_at + timedelta(milliseconds=one.duration_ms)
        edges += [(one.started_at, 1), (end, -1)]
    count = most = 0
    for _, step in sorted(edges):
        count += step
        most = max(most, count)
    return most


# Policies.


def test_a_webhook_has_retry_delays_of_its_own_with_the_dispatchers_jitter(new_dispatcher, host):
    low = RetryPolicy.from_delays([60], jitter=0.5, random=lambda: 0.0)
    dispatcher = new_dispatcher(retries=low, breaker=None)
    host.webhook("/own", policy=DeliveryPolicy(retry_delays=[100, 200]))
    host.receiver.always(500)
    host.emit()
    for delay in (50, 100):
        dispatcher.drain()
        assert host.only().next_attempt_at == host.clock.now + timedelta(seconds=delay)
        host.clock.advance(delay)
    dispatcher.drain()
    assert host.only().state == "failed"
    assert host.only().attempt_count == 3


def test_a_webhook_has_a_deadline_of_its_own(new_dispatcher, host):
    host.receiver.always(Answer(204, delay=2.5))
    host.webhook(policy=DeliveryPolicy(deadline=1))
    host.emit()
    new_dispatcher(deadline=20).drain(timeout=30)
    [attempt] = attempts(host)
    assert attempt.status_code is None
    assert "deadline" in attempt.error or "timed out" in attempt.error


def test_a_deadline_may_be_longer_than_the_dispatchers(new_dispatcher, host):
    host.receiver.always(Answer(204, delay=2.5))
    host.webhook(policy=DeliveryPolicy(deadline=30))
    host.emit()
    assert new_dispatcher(deadline=1).drain(timeout=30).delivered == 1


def test_a_policy_without_retries_fails_at_the_first_failure(host):
    host.webhook(policy=DeliveryPolicy(retry_delays=[]))
    host.receiver.always(500)
    host.emit()
    assert host.dispatcher.drain().failed == 1


def test_drain_sends_what_the_rate_allows_by_then(host):
    host.webhook(policy=DeliveryPolicy(rate=2, burst=3))
    emit(host, 10)
    assert [host.dispatcher.drain().delivered, host.dispatcher.drain().delivered] == [3, 0]
    host.clock.advance(1)
    assert host.dispatcher.drain().delivered == 2
    assert [one.attempt_count for one in host.deliveries(state="pending")] == [0] * 5


def test_drain_continues_while_few_may_be_in_flight(host):
    host.webhook(policy=DeliveryPolicy(in_flight=2))
    emit(host, 30)
    assert host.dispatcher.drain(timeout=60).delivered == 30


def test_no_more_requests_are_under_way_than_the_policy_says(store, host):
    store.use_clock(None)
    host.receiver.always(Answer(204, delay=0.03))
    host.webhook(policy=DeliveryPolicy(in_flight=2))
    with host.dispatcher.running(), host.dispatcher.running():
        emit(host, 40)
        wait_for(lambda: len(host.deliveries(state="delivered")) == 40)
    assert most_at_once(host) <= 2


def test_more_requests_may_be_under_way_than_a_worker_allows_by_itself(store, host):
    store.use_clock(None)
    host.receiver.always(Answer(204, delay=0.05))
    host.webhook(policy=DeliveryPolicy(in_flight=6))
    with host.dispatcher.running(per_endpoint=1):
        emit(host, 60)
        wait_for(lambda: len(host.deliveries(state="delivered")) == 60)
    assert 1 < most_at_once(host) <= 6


def test_changed_limits_apply_to_leased_deliveries(store, host):
    store.use_clock(None)
    host.receiver.always(Answer(204, delay=0.3))
    webhook = host.webhook()
    with host.dispatcher.running(per_endpoint=2):
        emit(host, 60)
        host.receiver.wait_for(2)
        host.dispatcher.webhooks.update(webhook.id, policy=DeliveryPolicy(rate=0.01))
        pause = threading.Event()
        # Requests in flight end, and leased deliveries are released.
        wait_for(lambda: host.dispatcher.stats().in_flight == 0)
        seen = len(host.received())
        # A request that exceeded the limit would arrive within this second.
        pause.wait(1)
        assert len(host.received()) <= seen + 1
        assert len(host.deliveries(state="pending")) > 30
        host.receiver.always(204)
        host.dispatcher.webhooks.update(webhook.id, policy=None)
        wait_for(lambda: len(host.deliveries(state="delivered")) == 60)


def test_requests_that_are_under_way_do_not_stall_an_endpoint_once_few_may_be(store, host):
    store.use_clock(None)
    host.receiver.always(Answer(204, delay=0.5))
    webhook = host.webhook()
    with host.dispatcher.running():
        emit(host, 5)
        host.receiver.wait_for(5)
        host.dispatcher.webhooks.update(webhook.id, policy=DeliveryPolicy(in_flight=2))
        emit(host, 5)
        wait_for(lambda: len(host.deliveries(state="delivered")) == 10)


@pytest.mark.parametrize(
    "policy, field",
    [
        (DeliveryPolicy(rate=11), "rate"),
        (DeliveryPolicy(in_flight=3), "in_flight"),
        (DeliveryPolicy(deadline=6), "deadline"),
        (DeliveryPolicy(retry_delays=[1, 2, 3]), "retry_delays"),
        (DeliveryPolicy(retry_delays=[61]), "retry_delays"),
        (DeliveryPolicy(rate=1, burst=11), "burst"),
    ],
)
def test_a_policy_beyond_the_limits_is_refused_and_nothing_is_stored(new_dispatcher, host, policy, field):
    limits = Limits(retries=2, retry_delay=timedelta(seconds=60), deadline=5, in_flight=2, rate=10)
    dispatcher = new_dispatcher(limits=limits)
    with pytest.raises(InvalidWebhook) as refused:
        dispatcher.webhooks.add(Webhook(name="n", endpoints=[host.receiver.url], policy=policy))
    assert refused.value.name == field
    assert not dispatcher.webhooks.list()
    webhook = dispatcher.webhooks.add(Webhook(name="n", endpoints=[host.receiver.url]))
    with pytest.raises(InvalidWebhook):
        dispatcher.webhooks.update(webhook.id, name="m", policy=policy)
    assert dispatcher.webhooks.get(webhook.id) == webhook


def test_a_policy_from_before_the_limits_does_not_prevent_other_changes(new_dispatcher, host):
    webhook = host.webhook(policy=DeliveryPolicy(rate=100))
    strict = new_dispatcher(limits=Limits(rate=10))
    assert strict.webhooks.update(webhook.id, name="m").policy.rate == 100


@pytest.mark.parametrize(
    "policy, terms, seconds",
    [
        (None, None, 20),
        (DeliveryPolicy(deadline=5), Terms(5), 5),
        (DeliveryPolicy(deadline=5), None, 5),
        (DeliveryPolicy(deadline=60), Terms(60), 60),
        # It gets no longer deadline than its lease covers.
        (DeliveryPolicy(deadline=60), Terms(30), 30),
        (DeliveryPolicy(deadline=60), None, 20),
        (DeliveryPolicy(rate=5), Terms(20, rate=5), 20),
        (DeliveryPolicy(rate=5), Terms(20, rate=9), None),
        (DeliveryPolicy(rate=5), None, None),
        (DeliveryPolicy(in_flight=2), Terms(20, in_flight=3), None),
        (None, Terms(20, rate=5, in_flight=3), 20),
        (None, Terms(20, is_probe=True), 20),
    ],
)
def test_deliveries_leased_under_other_limits_are_leased_again(policy, terms, seconds):
    claimed = Claimed("t", "d", "e", "w", "p", "chat", "x", b"1", 0, 0, 7, 1, terms=terms)
    assert granted(claimed, policy, 20) == seconds


# The breaker.


@pytest.fixture
def breaking(new_dispatcher):
    return new_dispatcher(breaker=BREAKER)


def test_an_endpoint_that_fails_gets_one_request_per_pause(breaking, host):
    host.receiver.always(503)
    host.webhook()
    emit(host, 300)
    assert breaking.drain().attempted == BREAKER.failures
    host.receiver.clear()
    for seconds, count in ((29, 0), (PAUSE - 29, 1), (59, 1), (13, 2), (99, 2), (21, 3), (120, 4)):
        host.clock.advance(seconds)
        breaking.drain()
        assert len(host.received()) == count, seconds
    assert sum(one.attempt_count for one in host.deliveries(state="pending")) == len(attempts(host)) <= 9


def test_the_first_success_lets_all_go_on(breaking, host):
    host.receiver.always(503)
    host.webhook()
    emit(host, 50)
    breaking.drain()
    host.receiver.always(204)
    assert breaking.drain().attempted == 0
    host.clock.advance(PAUSE)
    failed = {one.id for one in host.deliveries() if one.attempt_count}
    assert breaking.drain().delivered >= 50 - len(failed)
    assert {one.attempt_count for one in host.deliveries(state="delivered") if one.id not in failed} == {1}


def test_another_endpoint_is_not_held_up(breaking, host):
    host.receiver.on("/down").always(503)
    host.webhook("/down", "/up")
    emit(host, 50)
    breaking.drain()
    assert len(host.received("/up")) == 50


def test_leased_deliveries_are_released_when_the_pause_begins(store, new_dispatcher, host):
    dispatcher = new_dispatcher(breaker=CircuitBreaker(failures=3, pause=600))
    store.use_clock(None)
    webhook = host.webhook()
    with dispatcher.running():
        # The endpoint is trusted by now, and gets many requests at once.
        emit(host, 100)
        wait_for(lambda: len(host.deliveries(state="delivered")) == 100)
        host.receiver.clear()
        host.receiver.always(Answer(503, delay=0.05))
        emit(host, 240)
        wait_for(lambda: dispatcher.stats().in_flight == 0 and len(host.received()) >= 3)
        pending = host.deliveries(state="pending", webhook_id=webhook.id)
        assert len([one for one in pending if one.attempt_count == 0]) > 100
        assert len(host.received()) < 100


def test_a_test_is_sent_in_a_pause_and_neither_begins_nor_ends_one(breaking, host):
    host.receiver.always(503)
    webhook = host.webhook()
    for _ in range(BREAKER.failures + 1):
        breaking.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    host.receiver.always(204)
    emit(host, 1)
    assert breaking.drain().delivered == 1
    host.receiver.always(503)
    emit(host, 5)
    breaking.drain()
    host.receiver.always(204)
    [sent] = breaking.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    assert sent.status_code == 204
    assert breaking.drain().attempted == 0


def test_the_breaker_is_on_unless_the_host_turns_it_off(new_dispatcher, host):
    host.receiver.always(500)
    host.webhook()
    emit(host, 20)
    assert host.dispatcher.drain().attempted == 5
    webhook = host.webhook("/other")
    emit(host, 20)
    unbroken = new_dispatcher(breaker=None)
    unbroken.drain()
    assert all(one.attempt_count for one in host.deliveries(webhook_id=webhook.id))
