"""A clock that steps by an hour loses nothing; on PostgreSQL, which uses the server's clock, it changes nothing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from waiting import wait_for

from unihooks import DeliveryPolicy, EventSubscription, RetryPolicy, Webhook
from unihooks._base import times
from unihooks.stores import PostgresStore
from unihooks.testing import FakeClock
from unihooks.testing._answers import Answer
from unihooks.testing._store_rules.breaker import paused
from unihooks.testing._store_rules.scene import DAY, Scene, ids

HOUR = 3_600
STEPS = (HOUR, 0, -HOUR, 0, HOUR)
EVENTS_PER_STEP = 30
CONCURRENCY = 8
WORKERS = 2


@pytest.fixture
def step(monkeypatch):
    """Set the wall clock of this machine this many seconds ahead."""
    ahead = [0.0]

    class Stepping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=ahead[0])

    real = time.time
    monkeypatch.setattr(times, "datetime", Stepping)
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    return lambda seconds: ahead.__setitem__(0, seconds)


def subscribe(dispatcher, receiver):
    receiver.on("/crm").answer(*[Answer(204 if number % 5 else 503) for number in range(1_000)])
    webhook = Webhook(
        name="CRM sync", endpoints=[receiver.url_for("/crm")], subscriptions=[EventSubscription("shop", "*")]
    )
    return dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)


@pytest.mark.slow
def test_nothing_is_lost_and_little_is_sent_again_when_the_clock_steps(open_dispatcher, receiver, step, place):
    dispatchers = [open_dispatcher(retries=RetryPolicy.from_delays([0.05] * 50, jitter=0)) for _ in range(WORKERS)]
    one, two = dispatchers
    subscribe(one, receiver)
    events = []
    with one.running(concurrency=CONCURRENCY), two.running(concurrency=CONCURRENCY):
        for ahead in STEPS:
            for number in range(EVENTS_PER_STEP):
                if number == EVENTS_PER_STEP // 2:
                    # The clock steps while events are sent. An event that seems older than the webhook, because the
                    # clock was set back, can be recognized only while the clock is back: see `log.recover`.
                    wait_for(lambda: one.stats().oldest_unplanned is None)
                    step(ahead)
                events.append(one.emit("shop", "order.paid", {"number": number}))
        wait_for(lambda: is_done(one), 30)
    deliveries = all_deliveries(one)
    assert Counter(delivery.event_id for delivery in deliveries) == {event.id: 1 for event in events}
    assert {delivery.state for delivery in deliveries} == {"delivered"}
    # Requests that are not in the log were repeated.
    again = len(receiver.requests) - sum(delivery.attempt_count for delivery in deliveries)
    # When the clock is set forward, the leases of requests in flight end immediately.
    assert again <= (0 if place[0] is PostgresStore else STEPS.count(HOUR) * WORKERS * CONCURRENCY)
    if place[0] is PostgresStore:
        times = [event.created_at for event in events]
        assert times == sorted(times)
        assert all(abs(event.created_at.timestamp() - time.time() + STEPS[-1]) < HOUR / 2 for event in events)
    sys.stdout.write(f"{len(STEPS)} steps of an hour: {len(events)} events, {again} sent again, 0 lost")


def is_done(dispatcher):
    return dispatcher.stats().oldest_unplanned is None and not dispatcher.log.deliveries(state="pending", limit=1).items


def all_deliveries(dispatcher):
    found, cursor = [], None
    while True:
        page = dispatcher.log.deliveries(limit=250, cursor=cursor)
        found += page
        if (cursor := page.next) is None:
            return found


def test_webhook_activated_before_the_clock_is_set_back_gets_later_events(open_dispatcher, receiver, step):
    dispatcher = open_dispatcher()
    receiver.on("/crm").always(Answer(204))
    webhook = Webhook(
        name="CRM sync", endpoints=[receiver.url_for("/crm")], subscriptions=[EventSubscription("shop", "*")]
    )
    webhook = dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
    step(-HOUR)
    dispatcher.emit("shop", "order.paid", 1)
    assert dispatcher.drain().delivered == 1
    dispatcher.webhooks.deactivate(webhook.id)
    dispatcher.emit("shop", "order.paid", 2)
    assert dispatcher.drain().attempted == 0
    step(HOUR)
    dispatcher.webhooks.activate(webhook.id)
    dispatcher.emit("shop", "order.paid", 3)
    step(-HOUR)
    dispatcher.emit("shop", "order.paid", 4)
    assert dispatcher.drain().delivered == 2
    assert sorted(request.json() for request in receiver.requests) == [1, 3, 4]


# Due deliveries when the clock is set back.


class Unsteady(FakeClock):
    def put_back(self, seconds):
        self._now -= timedelta(seconds=seconds)


def scene_at(place, clock):
    kind, options = place
    store = kind(**options)
    store.use_clock(clock)
    return Scene(store, clock)


def test_due_deliveries_are_claimed_although_the_clock_was_set_back(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    scene.active()
    retried, leased = scene.claimed(), scene.claimed()
    scene.retry(retried, after=60)
    due = scene.pending()
    clock.put_back(HOUR)
    assert scene.store.work().next_due <= scene.store.now()
    assert ids(scene.claim()) == [due.id]
    clock.advance(31)
    assert ids(scene.claim()) == [leased.id, due.id]
    clock.advance(30)
    assert retried.id in ids(scene.claim())
    scene.store.close()


def test_retry_after_lasts_no_longer_although_the_clock_was_set_back(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    scene.active()
    busy = scene.claimed()
    scene.busy(busy, seconds=600)
    clock.put_back(HOUR)
    assert scene.claim() == []
    clock.advance(599)
    assert scene.claim() == []
    clock.advance(1)
    assert ids(scene.claim()) == [busy.id]
    scene.store.close()


def test_a_rate_continues_although_the_clock_was_set_back(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    scene.active(policy=DeliveryPolicy(rate=0.01))
    scene.several(3)
    assert len(scene.claim()) == 1
    assert scene.claim() == []
    clock.put_back(HOUR)
    assert scene.claim() == []
    clock.advance(99)
    assert scene.claim() == []
    clock.advance(1)
    assert len(scene.claim()) == 1
    scene.store.close()


def test_a_pause_lasts_no_longer_although_the_clock_was_put_back(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    paused(scene)
    scene.several(3)
    clock.put_back(HOUR)
    assert scene.claim() == []
    clock.advance(29.9)
    assert scene.claim() == []
    clock.advance(6.1)
    assert len(scene.claim()) == 1
    scene.store.close()


def test_a_process_started_after_the_clock_was_set_back_finds_due_deliveries(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    scene.active()
    due = scene.pending()
    scene.expire(5 * DAY)
    scene.store.close()
    clock.put_back(HOUR)
    first, second = scene_at(place, clock), scene_at(place, clock)
    assert first.store.work().next_due <= first.store.now()
    before = [one.next_attempt_at for one in first.deliveries()]
    second.store.work()
    assert [one.next_attempt_at for one in second.deliveries()] == before
    assert ids(second.claim()) == [due.id]
    for one in (first, second):
        one.store.close()


def test_each_step_back_of_the_clock_is_taken_once_by_all_processes(place):
    clock = Unsteady()
    first, second = scene_at(place, clock), scene_at(place, clock)
    first.active()
    first.pending()
    second.store.work()
    first.retry(*first.claim(), after=600)
    for steps in range(1, 4):
        clock.put_back(HOUR)
        for one in (first, second):
            one.store.work()
        [delivery] = first.deliveries()
        assert delivery.next_attempt_at == clock() + timedelta(seconds=600), steps
    clock.put_back(2)
    first.store.work()
    [delivery] = first.deliveries()
    assert delivery.next_attempt_at == clock() + timedelta(seconds=602)
    for one in (first, second):
        one.store.close()


def test_deliveries_that_wait_for_their_turn_are_not_moved_when_the_clock_is_set_back(place):
    clock = Unsteady()
    scene = scene_at(place, clock)
    scene.active(ordered=True)
    events = [scene.emit(subject="order/7") for _ in range(2)]
    scene.plan()
    [first] = scene.claim()
    clock.put_back(HOUR)
    assert scene.store.work().next_due is not None
    assert scene.claim() == []
    assert scene.deliver(first).freed == 1
    assert [one.event_id for one in scene.claim()] == [events[1].id]
    scene.store.close()
