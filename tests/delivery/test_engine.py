from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest

import unihooks
from unihooks import (
    DeliveryState,
    Endpoint,
    EventSubscription,
    PayloadMapping,
    RetryPolicy,
    TargetPolicy,
    Webhook,
)
from unihooks._delivery.endpoint_queues import Leased
from unihooks._delivery.engine import Engine, Limits
from unihooks._delivery.sending import Sender
from unihooks.abc import Capacity, Claimed, Lease, Work
from unihooks.exceptions import StoreError
from unihooks.stores import MemoryStore
from unihooks.testing import Answer

LIMITS = Limits(concurrency=512, per_endpoint=32, lease=30, grace=22)


def next_delay(host):
    """Return the seconds until the only pending delivery is due."""
    return (host.only(state="pending").next_attempt_at - host.clock.now).total_seconds()


@pytest.fixture
def failing(monkeypatch):
    """Make a verb of a store raise so many times, then work again."""

    def fail(store, verb, *, times=1, error=None):
        whole, left = getattr(type(store), verb), [times]

        def broken(self, *args, **options):
            if left[0] > 0:
                left[0] -= 1
                raise error or StoreError("the disk is full")
            return whole(self, *args, **options)

        monkeypatch.setattr(type(store), verb, broken)
        return left

    return fail


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.engine._STORE_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("unihooks._delivery.sending._STORE_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("unihooks._delivery.results._PATIENCE_SECONDS", 0.01)


# What goes over the wire.


def test_a_request_carries_the_promised_headers_then_the_webhooks_own(host):
    webhook = host.webhook("/in?key=1", headers={"X-Own": "v"})
    event = host.emit({"text": "grüße"})
    host.dispatcher.drain()

    (request,) = host.received()
    assert (request.method, request.path) == ("POST", "/in?key=1")
    assert request.body == '{"text":"grüße"}'.encode()
    timestamp = str(int(host.clock.now.timestamp()))
    headers = dict(request.headers)
    assert headers.pop("webhook-signature").startswith("v1,")
    assert headers == {
        "host": f"localhost:{host.receiver.port}",
        "content-type": "application/json",
        "content-length": str(len(request.body)),
        "user-agent": f"unihooks/{unihooks._message.requests.version('unihooks')}",
        "webhook-id": event.id,
        "webhook-timestamp": timestamp,
        "unihooks-product": "chat",
        "unihooks-event": "message.received",
        "unihooks-webhook": webhook.id,
        "x-own": "v",
    }
    assert list(request.headers)[-1] == "x-own"
    host.verify(request, *webhook.secrets)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
def test_2xx_is_success(host, status):
    host.webhook()
    host.receiver.answer(status)
    host.emit()
    assert host.dispatcher.drain().delivered == 1


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308, 400, 404, 409, 422, 500, 503])
def test_everything_else_is_retried_and_no_redirect_is_followed(host, status):
    host.webhook()
    host.receiver.answer(Answer(status, headers={"Location": host.receiver.url_for("/other")}))
    host.emit()
    result = host.dispatcher.drain()

    assert (result.attempted, result.delivered, result.failed) == (1, 0, 0)
    assert next_delay(host) == 60
    assert host.only().reason in (None, f"the endpoint answered {status}")
    assert len(host.received()) == 1


def test_a_connection_that_fails_is_retried(host):
    host.webhook()
    host.receiver.answer(Answer(drop=True), Answer(drop=True))
    host.emit()
    host.dispatcher.drain()
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert attempt.status_code is None
    assert attempt.error
    assert next_delay(host) == 60


def test_an_endpoint_that_hangs_is_given_up_at_the_deadline(new_dispatcher, host):
    dispatcher = new_dispatcher(deadline=0.3)
    host.webhook()
    host.receiver.answer(Answer(hang=True))
    host.emit()
    dispatcher.drain()
    (attempt,) = dispatcher.log.attempts(host.only().id)
    assert attempt.status_code is None
    assert attempt.duration_ms >= 300


# Retries.


def test_the_default_schedule_takes_three_days_give_or_take_a_fifth(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=unihooks._dispatcher.DEFAULT_RETRIES)
    host.webhook()
    host.receiver.always(500)
    host.emit()
    hour = 3600
    for planned in (5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour):
        assert dispatcher.drain().attempted == 1
        delay = next_delay(host)
        assert 0.8 * planned <= delay <= 1.2 * planned
        host.clock.advance(delay - 0.001)
        assert dispatcher.drain().attempted == 0
        host.clock.advance(0.001)
    assert dispatcher.drain().failed == 1

    delivery = host.only()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 10)
    assert delivery.reason == "no retry is left after 10 attempts; the last: the endpoint answered 500"
    assert delivery.next_attempt_at is None


@pytest.mark.parametrize(
    "retry_after, delay",
    [("30", 60), ("120", 120), ("99999", 3600), ("Thu, 01 Jan 2026 00:05:00 GMT", 300), ("soon", 60)],
)
def test_retry_after_lengthens_a_delay_up_to_its_limit_and_never_shortens_it(host, retry_after, delay):
    host.webhook()
    host.receiver.answer(Answer(503, headers={"Retry-After": retry_after}))
    host.emit()
    host.dispatcher.drain()
    assert next_delay(host) == delay


def test_retry_after_reaches_twice_the_plan_where_that_is_longer(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=RetryPolicy.from_delays([7200], jitter=0))
    host.webhook()
    host.receiver.answer(Answer(503, headers={"Retry-After": "99999"}))
    host.emit()
    dispatcher.drain()
    assert next_delay(host) == 14400


def test_429_waits_at_least_60_s(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=RetryPolicy.from_delays([1], jitter=0))
    host.webhook()
    host.receiver.answer(429)
    host.emit()
    dispatcher.drain()
    assert next_delay(host) == 60


def test_time_held_counts_for_no_retry_limit(new_dispatcher, host):
    from tenacity import stop_after_delay, wait_fixed

    dispatcher = new_dispatcher(retries=RetryPolicy(wait=wait_fixed(60), stop=stop_after_delay(300)))
    webhook = host.webhook()
    host.receiver.always(500)
    host.emit()
    dispatcher.drain()
    dispatcher.webhooks.deactivate(webhook.id)
    host.clock.advance(3600)
    dispatcher.webhooks.activate(webhook.id)
    dispatcher.drain()
    assert host.only().state is DeliveryState.PENDING

    host.clock.advance(300)
    dispatcher.drain()
    assert host.only().state is DeliveryState.FAILED


def test_a_retry_policy_that_raises_leaves_the_decision_to_the_default(new_dispatcher, host, caplog):
    def broken(_state):
        raise ZeroDivisionError

    dispatcher = new_dispatcher(retries=RetryPolicy(wait=broken))
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    dispatcher.drain()
    assert 4 <= next_delay(host) <= 6
    assert "retry policy raised" in caplog.text


# The same bytes; everything else of the moment of sending.


def test_a_retry_sends_the_same_bytes_after_the_mapping_changed(host):
    webhook = host.webhook(mapping=PayloadMapping(rename={"text": "body"}))
    host.receiver.answer(500)
    event = host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.update(webhook.id, mapping=PayloadMapping(remove=["text"]))
    host.clock.advance(60)
    host.dispatcher.drain()

    first, second = host.received()
    assert first.body == second.body == b'{"body":"hi"}'
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event.id
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_url_headers_and_secrets_are_those_of_the_moment_of_sending(host):
    webhook = host.webhook("/old", headers={"X-Key": "old"})
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)
    host.dispatcher.webhooks.update(webhook.id, endpoints=[moved], headers={"X-Key": "new"})
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=0)
    host.clock.advance(60)
    host.dispatcher.drain()

    second = host.received()[1]
    assert (second.path, second.headers["x-key"]) == ("/new", "new")
    host.verify(second, fresh)


def test_a_change_is_seen_by_a_running_worker_within_a_second(host):
    webhook = host.webhook("/old")
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
        host.dispatcher.webhooks.update(
            webhook.id, endpoints=[Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)]
        )
        host.emit()
        assert host.receiver.wait_for(2)[1].path == "/new"


def test_a_change_that_returned_before_emit_is_always_seen(host):
    webhook = host.webhook("/in")
    expected = []
    with host.dispatcher.running():
        for number in range(20):
            if number % 2:
                host.dispatcher.webhooks.update(webhook.id, subscriptions=[])
            else:
                host.dispatcher.webhooks.update(webhook.id, subscriptions=[EventSubscription("chat", "*")])
                expected.append(number)
            host.emit(number)
            assert _wait_until(lambda: host.dispatcher.stats().oldest_unplanned is None)
        host.receiver.wait_for(len(expected))
    assert sorted(request.json() for request in host.received()) == expected


def test_a_mapping_that_fails_never_sends_the_unmapped_payload(host):
    # Renaming makes the body longer than a payload may be.
    webhook = host.webhook("/mapped", mapping=PayloadMapping(rename={"items[*].a": "x" * 100}))
    host.webhook("/plain")
    host.emit({"items": [{"a": 1}] * 10_000})
    host.dispatcher.drain()

    delivery = host.only(webhook_id=webhook.id)
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 0)
    assert delivery.reason.startswith("the payload mapping failed: ")
    assert [request.path for request in host.received()] == ["/plain"]


def test_a_mappings_warnings_are_shown_with_the_attempt(host):
    host.webhook(mapping=PayloadMapping(rename={"text": "body"}))
    host.emit({"text": "hi", "body": "there already"})
    host.dispatcher.drain()
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert attempt.warnings


# Destinations.


def test_a_refused_destination_is_an_attempt_with_one_constant_sentence(new_dispatcher, host):
    errors = set()
    host.webhook(endpoints=["https://example.com/in"])
    for address in ("10.0.0.7", "127.0.0.1", "169.254.169.254", "::1"):
        guarded = new_dispatcher(targets=TargetPolicy(resolver=lambda *_, to=address: [to]))
        host.emit()
        guarded.drain()
        (attempt, *_rest) = guarded.log.attempts(host.deliveries()[-1].id)
        assert attempt.status_code is None
        assert address not in attempt.error
        errors.add(attempt.error)
    assert len(errors) == 1
    assert not host.received()


async def test_many_begin_a_few_in_each_turn_of_the_loop(host, monkeypatch):
    begun, turns = [], []

    async def run_slot(sender, leased):
        begun.append(leased)

    monkeypatch.setattr(Sender, "_run_slot", run_slot)
    async with Engine(host.dispatcher.settings, LIMITS) as engine:
        for number in range(200):
            claimed = Claimed("t", f"dlv_{number}", "e", "w", f"ep_{number}", "p", "x", b"", 0, 0, 1, 1)
            engine._queues.add(Leased(claimed, 0.0))
        engine._sender.fill_slots()
        while len(begun) < 200:
            turns.append(len(begun))
            await asyncio.sleep(0)
    together = [after - before for before, after in pairwise([*turns, len(begun)])]
    assert max(together) <= 64


def test_one_dead_endpoint_delays_only_itself(host):
    host.webhook("/dead", "/alive")
    host.receiver.on("/dead").always(Answer(hang=True))
    with host.dispatcher.running():
        for number in range(50):
            host.emit(number)
        assert _wait_until(lambda: len(host.received("/alive")) == 50)
        assert len(host.received("/dead")) <= 2
        host.receiver.stop()  # ends what hangs


def test_a_burst_of_one_tenant_does_not_delay_another(host):
    host.webhook("/burst", tenant="busy")
    host.webhook("/single", tenant="quiet")
    host.dispatcher.emit_many([("chat", "x", number) for number in range(2_000)], tenant="busy")
    host.emit(tenant="quiet")
    with host.dispatcher.running():
        assert _wait_until(lambda: host.received("/single"))
        before = [request.path for request in host.received()].index("/single")
    assert before < 1_000


def _wait_until(condition, timeout=15):
    arrived = threading.Event()
    for _ in range(timeout * 100):
        if condition():
            return True
        arrived.wait(0.01)
    return False


# Draining.


def test_drain_counts_what_it_did(host):
    host.webhook("/a", "/b", "/gone")
    host.receiver.on("/b").always(500)
    host.receiver.on("/gone").always(410)
    host.emit()
    host.dispatcher.emit("mail", "x", 1)
    result = host.dispatcher.drain()
    assert (result.planned, result.attempted, result.delivered, result.failed) == (2, 3, 1, 1)
    assert host.dispatcher.drain() == unihooks.DrainResult(0, 0, 0, 0)


def test_drain_waits_neither_for_the_future_nor_for_others_leases(host):
    host.webhook("/a", "/b")
    host.receiver.on("/a").answer(500)
    host.receiver.on("/b").answer(Answer(204, delay=0.5))
    host.emit()
    with host.dispatcher.running():
        host.receiver.wait_for(2)
        result = host.dispatcher.drain(timeout=30)
        assert result.attempted == 0
        assert host.only(state="pending", endpoint_id=host.dispatcher.webhooks.list()[0].endpoints[1].id)


def test_drain_goes_on_until_nothing_is_due(host):
    host.webhook()
    host.dispatcher.emit_many([("chat", "x", number) for number in range(700)])
    assert host.dispatcher.drain(timeout=60).delivered == 700
    assert Counter(request.json() for request in host.received()) == Counter(range(700))


def test_drain_attempts_what_becomes_due_while_it_works(host, new_dispatcher):
    dispatcher = new_dispatcher(on_delivery=lambda _delivery: host.received("/b") or dispatcher.emit("chat", "x", 2))
    host.webhook("/a")
    host.webhook("/b", subscriptions=[EventSubscription("chat", "x")])
    host.emit()
    assert dispatcher.drain().delivered >= 1


def test_drain_starts_nothing_more_at_its_timeout_and_finishes_what_it_started(new_dispatcher, host):
    dispatcher = new_dispatcher()
    host.webhook()
    host.receiver.always(Answer(204, delay=0.2))
    dispatcher.drain()  # a first connection takes longer than the drain below
    dispatcher.emit_many([("chat", "x", number) for number in range(100)])
    result = dispatcher.drain(timeout=0.1)

    assert 0 < result.attempted < 100
    assert result.delivered == result.attempted == len(host.received())
    host.receiver.always(204)
    # What was leased and not started is released, and due at once.
    assert dispatcher.drain(timeout=60).delivered == 100 - result.attempted


def test_drain_with_no_time_starts_nothing(host):
    host.webhook()
    host.emit()
    assert host.dispatcher.drain(timeout=0) == unihooks.DrainResult(0, 0, 0, 0)


async def test_drain_works_inside_a_running_loop(host):
    host.webhook()
    host.emit()
    assert host.dispatcher.drain().delivered == 1


async def test_adrain_shares_the_loop_with_the_host(host):
    host.webhook()
    host.receiver.answer(Answer(204, delay=0.2))
    host.emit()
    draining = asyncio.create_task(host.dispatcher.adrain())
    await host.receiver.await_for(1)
    assert not draining.done()
    assert (await draining).delivered == 1


def test_drain_tells_of_a_store_that_fails(host, failing):
    failing(host.dispatcher.settings.store, "work")
    with pytest.raises(StoreError):
        host.dispatcher.drain()


def test_drain_removes_what_is_past_its_retention(new_dispatcher, host):
    dispatcher = new_dispatcher(retention=timedelta(days=1))
    host.webhook()
    host.emit()
    dispatcher.drain()
    host.clock.advance(timedelta(days=1, seconds=1))
    fresh = host.emit()
    dispatcher.drain()
    assert [event.id for event in dispatcher.log.events()] == [fresh.id]
    assert [delivery.event_id for delivery in host.deliveries()] == [fresh.id]


def test_with_retention_none_everything_stays(new_dispatcher, host):
    dispatcher = new_dispatcher(retention=None)
    host.emit()
    dispatcher.drain()
    host.clock.advance(timedelta(days=1000))
    dispatcher.drain()
    assert len(dispatcher.log.events()) == 1


# Leases and errors.


async def test_a_request_starts_only_while_its_lease_has_the_whole_deadline_left(new_dispatcher, host, monkeypatch):
    dispatcher = new_dispatcher(deadline=0.2)
    host.webhook()
    host.emit()
    store = dispatcher.settings.store
    found = type(store).destinations
    late = threading.Event()

    def slow(self, endpoint_ids):
        late.wait(0.2)
        return found(self, endpoint_ids)

    monkeypatch.setattr(type(store), "destinations", slow)
    limits = Limits(concurrency=1, per_endpoint=1, lease=0.3, grace=3)
    async with Engine(dispatcher.settings, limits) as engine:
        await engine._take_work()
        await asyncio.wait(set(engine._sender._slots))
        assert not host.received()
        assert [one.id for one in engine._sender.unsent] == [host.only().id]


@pytest.fixture
def one_attempt(host):
    """Give an engine that starts one attempt, and lets a test act while it is under way."""

    async def attempt(while_under_way):
        host.webhook()
        host.receiver.answer(Answer(204, delay=0.2))
        host.emit()
        async with Engine(host.dispatcher.settings, LIMITS) as engine:
            await engine._take_work()
            await host.receiver.await_for(1)
            while_under_way()

    return attempt


async def test_a_late_result_counts_while_nobody_else_has_claimed(host, one_attempt):
    await one_attempt(lambda: host.clock.advance(60))
    assert (host.only().state, host.only().attempt_count) == (DeliveryState.DELIVERED, 1)


async def test_a_late_result_is_dropped_once_someone_else_has_claimed(host, one_attempt):
    def claim_as_another():
        host.clock.advance(60)
        assert len(host.dispatcher.settings.store.claim(Lease(token=7, seconds=30), Capacity(10, 10))) == 1

    await one_attempt(claim_as_another)
    assert (host.only().state, host.only().attempt_count) == (DeliveryState.PENDING, 0)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_no_transaction_is_open_while_a_request_runs(tmp_path, one_attempt):
    def write():
        connection = sqlite3.connect(tmp_path / "webhooks.db", isolation_level=None, timeout=0)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        connection.close()

    await one_attempt(write)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_an_idle_worker_writes_nothing(host, tmp_path, monkeypatch):
    store = type(host.dispatcher.settings.store)
    looks, seen, change_token = [0], threading.Event(), store.change_token

    def look(self):
        looks[0] += 1
        if looks[0] % 30 == 0:
            seen.set()
        return change_token(self)

    monkeypatch.setattr(store, "change_token", look)
    with host.dispatcher.running():
        assert seen.wait(10)  # by now it has noted that it lives
        connection = sqlite3.connect(tmp_path / "webhooks.db")
        before = connection.execute("PRAGMA data_version").fetchone()
        seen.clear()
        assert seen.wait(10)
        assert connection.execute("PRAGMA data_version").fetchone() == before
        connection.close()


def test_what_this_process_emits_is_planned_without_a_look_first(host, monkeypatch):
    host.webhook()
    with host.dispatcher.running():
        assert _wait_until(lambda: host.dispatcher.settings.wakers)
        nothing = Work(new_events=False, next_due=None)
        monkeypatch.setattr(type(host.dispatcher.settings.store), "work", lambda _self: nothing)
        host.emit()
        host.receiver.wait_for(1)


def test_who_emits_without_end_does_not_keep_what_is_due_from_being_looked_for(host, monkeypatch):
    looked = threading.Event()
    planned = threading.Semaphore(0)
    whole, plan = type(host.dispatcher.settings.store).work, type(host.dispatcher.settings.store).plan
    monkeypatch.setattr(type(host.dispatcher.settings.store), "work", lambda self: (looked.set(), whole(self))[1])

    def plan_and_be_told_again(self, *args):
        done = plan(self, *args)
        host.dispatcher.wake()
        planned.release()
        return done

    with host.dispatcher.running():
        host.emit()
        monkeypatch.setattr(type(host.dispatcher.settings.store), "plan", plan_and_be_told_again)
        host.dispatcher.wake()
        for _ in range(3):
            assert planned.acquire(timeout=5)
        looked.clear()
        assert looked.wait(5)


async def test_after_a_fork_a_wake_in_the_child_does_nothing(host):
    async with Engine(host.dispatcher.settings, LIMITS) as engine:
        engine._pid = -1
        host.dispatcher.wake()
        await asyncio.sleep(0)
        assert engine._state.rests


def test_a_worker_that_has_ended_is_not_woken(host):
    host.dispatcher.drain()
    assert not host.dispatcher.settings.wakers
    host.dispatcher.wake()


def test_what_was_in_flight_when_a_worker_died_is_sent_again_after_its_lease(host, monkeypatch):
    host.webhook()
    host.emit()
    store = host.dispatcher.settings.store
    (claimed,) = store.plan(Lease(token=1, seconds=30), Capacity(10, 10), 10).claimed
    assert host.dispatcher.drain().attempted == 0
    host.clock.advance(30)
    assert host.dispatcher.drain().delivered == 1
    assert host.only().id == claimed.id


def test_a_worker_outlives_a_store_that_fails(host, failing, caplog):
    host.webhook()
    store = host.dispatcher.settings.store
    left = [failing(store, verb) for verb in ("work", "plan", "record", "change_token", "heartbeat")]
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
        assert _wait_until(lambda: host.only().state is DeliveryState.DELIVERED)
    assert [one[0] for one in left] == [0] * 5
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("verb", ["config_versions", "destinations"])
def test_a_delivery_whose_destination_cannot_be_read_for_now_does_not_wait_for_its_lease(host, failing, verb):
    host.webhook()
    left = failing(host.dispatcher.settings.store, verb)
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
    assert left[0] == 0


def test_what_cannot_be_given_back_is_given_back_later(host, failing):
    host.webhook()
    failing(host.dispatcher.settings.store, "config_versions")
    left = failing(host.dispatcher.settings.store, "release", times=2)
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
    assert left[0] == 0


@pytest.mark.parametrize("verb", ["config_versions", "destinations"])
def test_a_delivery_whose_destination_causes_an_error_is_tried_again_after_its_lease(host, failing, caplog, verb):
    host.webhook()
    left = failing(host.dispatcher.settings.store, verb, error=RuntimeError("a bug"))
    with host.dispatcher.running():
        host.emit()
        assert _wait_until(lambda: left[0] == 0 and "could not be attempted" in caplog.text)
        host.clock.advance(30)
        host.receiver.wait_for(1)


def test_an_error_while_taking_work_is_logged_and_survived(host, failing, caplog):
    host.webhook()
    failing(host.dispatcher.settings.store, "work", error=KeyError("a bug"))
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
    assert "taking work failed" in caplog.text


def test_one_endpoint_that_cannot_be_prepared_is_no_others_trouble(host, monkeypatch, caplog):
    host.webhook("/bad", "/good")
    prepare = unihooks._delivery.destinations.prepare

    def refuse(destination, now):
        if destination.url.endswith("/bad"):
            raise RuntimeError("no key")
        return prepare(destination, now)

    monkeypatch.setattr("unihooks._delivery.destinations.prepare", refuse)
    host.emit()
    host.dispatcher.drain()
    assert [request.path for request in host.received()] == ["/good"]
    assert "could not be attempted" in caplog.text


def test_a_request_that_cannot_be_built_is_a_failed_attempt(host, monkeypatch, caplog):
    def refuse(*_args, **_options):
        raise RuntimeError("no request")

    monkeypatch.setattr("unihooks._delivery.sending.build_request", refuse)
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert (attempt.error, attempt.status_code) == ("the request could not be built", None)


def test_an_endpoint_disabled_meanwhile_is_not_sent_what_was_leased(host):
    webhook = host.webhook()
    host.receiver.answer(Answer(410, delay=0.1), Answer(410, delay=0.1))
    host.dispatcher.emit_many([("chat", "x", number) for number in range(30)])
    host.dispatcher.drain()
    # Two were in flight at once; the others are held.
    assert len(host.received()) == 2
    assert not host.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled
    assert all(delivery.held for delivery in host.deliveries(state="pending"))


# Transports of the host's own.


def test_a_mock_transport_gets_endpoint_and_deadline(new_dispatcher):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, text="ok")

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)
    webhook = dispatcher.webhooks.add(
        Webhook(
            name="n", endpoints=["http://10.0.0.1/in"], subscriptions=[EventSubscription("chat", "*")], status="active"
        )
    )
    event = dispatcher.emit("chat", "x", {"a": 1})
    assert dispatcher.drain().delivered == 1

    (request,) = seen
    assert request.content == b'{"a":1}'
    assert request.headers["webhook-id"] == event.id
    extension = request.extensions["unihooks"]
    assert extension["endpoint_id"] == webhook.endpoints[0].id
    assert extension["deadline"] > 0
    (attempt,) = dispatcher.log.attempts(dispatcher.log.deliveries()[0].id)
    assert attempt.response_body == b"ok"


def test_an_asgi_transport_delivers_to_an_application(new_dispatcher):
    bodies = []

    async def application(scope, receive, send):
        bodies.append((scope["path"], json.loads((await receive())["body"])))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    dispatcher = new_dispatcher(transport=httpx.ASGITransport(application), targets=None)
    _add(dispatcher, "https://app.test/in")
    dispatcher.emit("chat", "x", 7)
    assert dispatcher.drain().delivered == 1
    assert bodies == [("/in", 7)]


def _add(dispatcher, url):
    webhook = Webhook(name="n", endpoints=[url], subscriptions=[EventSubscription("chat", "*")], status="active")
    return dispatcher.webhooks.add(webhook)


def test_a_transport_that_raises_is_a_failed_attempt(new_dispatcher):
    def answer(_request):
        raise ValueError("s3cr3t")

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)
    _add(dispatcher, "https://app.test/in")
    dispatcher.emit("chat", "x", 7)
    dispatcher.drain()
    (attempt,) = dispatcher.log.attempts(dispatcher.log.deliveries()[0].id)
    assert attempt.error
    assert "s3cr3t" not in attempt.error


@pytest.mark.parametrize("many", [False, True], ids=["one", "a function that makes one"])
def test_a_transport_that_keeps_connections_works_over_several_loops(new_dispatcher, receiver, many):
    def make():
        return httpx.AsyncHTTPTransport(verify=receiver.ssl_context)

    dispatcher = new_dispatcher(transport=make if many else make(), targets=None)
    webhook = _add(dispatcher, receiver.url)
    for number in range(3):
        dispatcher.emit("chat", "x", number)
        assert dispatcher.drain().delivered == 1
    with dispatcher.running():
        dispatcher.emit("chat", "x", 3)
        receiver.wait_for(4)
    assert dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)[0].succeeded


@pytest.mark.parametrize(
    "url", ["ftp://app.test/", "https://", "app.test", "https://[", "http://a b/", "https://u:p@app.test/"]
)
def test_without_a_policy_a_url_still_has_to_name_a_host(new_dispatcher, url):
    dispatcher = new_dispatcher(transport=httpx.MockTransport(lambda _: httpx.Response(200)), targets=None)
    with pytest.raises(unihooks.exceptions.TargetRefused):
        _add(dispatcher, url)


def test_a_transport_that_cannot_be_closed_does_not_spoil_the_drain(new_dispatcher, caplog):
    class Stubborn(httpx.MockTransport):
        async def aclose(self):
            raise RuntimeError("no")

    dispatcher = new_dispatcher(transport=Stubborn(lambda _: httpx.Response(200)), targets=None)
    _add(dispatcher, "https://app.test/")
    dispatcher.emit("chat", "x", 1)
    assert dispatcher.drain().delivered == 1
    assert "could not be closed" in caplog.text


def test_the_last_of_several_loops_closes_the_hosts_transport(new_dispatcher):
    closed = []

    class Counted(httpx.MockTransport):
        async def aclose(self):
            closed.append(True)

    dispatcher = new_dispatcher(transport=Counted(lambda _: httpx.Response(200)), targets=None)
    _add(dispatcher, "https://app.test/")
    with dispatcher.running() as _:
        dispatcher.emit("chat", "x", 1)
        assert _wait_until(lambda: dispatcher.log.deliveries(state="delivered"))
        dispatcher.drain()
        assert not closed
    assert closed == [True]


def test_what_is_no_transport_is_a_type_error():
    with pytest.raises(TypeError, match="AsyncBaseTransport"):
        unihooks.Dispatcher(MemoryStore(), transport="https", targets=None)


# Secrets.


def test_a_receiver_that_echoes_what_it_got_puts_no_secret_into_the_log(host):
    basic, key = "Basic dXNlcjpjNG5hcnk=", "c4nary-k3y"
    webhook = host.webhook("/a", headers={"Authorization": basic, "X-Key": key, "X-Short": "1"})
    signing = webhook.secrets[0].reveal()
    echo = f'{{"authorization": "{basic}", "token": "dXNlcjpjNG5hcnk=", "key": "{key}", "sign": "{signing}"}}'
    host.receiver.always(Answer(500, headers={"X-Echo": f"key={key}"}, body=echo.encode()))
    host.emit()
    host.dispatcher.drain()
    kept = host.dispatcher.log.attempts(host.only().id)
    shown = host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    for attempt in [*kept, *shown]:
        assert attempt.response_body == b'{"authorization": "***", "token": "***", "key": "***", "sign": "whsec_***"}'
        assert dict(attempt.response_headers)["x-echo"] == "key=***"


def test_secrets_are_shown_nowhere(host, caplog):
    header, key = "c4nary-h3ader", "whsec_" + "Y2FuYXJ5" * 5
    logging.getLogger().setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    webhook = host.webhook("/a", "/gone", headers={"Authorization": f"Bearer {header}"}, secrets=[key])
    host.receiver.on("/a").always(Answer(500, body=b"no"))
    host.receiver.on("/gone").always(410)
    things = [webhook, host.dispatcher.webhooks, host.dispatcher.log, host.dispatcher.settings, vars(host.dispatcher)]
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(2)
    for _ in range(2):
        host.clock.advance(600)
        host.dispatcher.drain()
    things += [host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)]
    for delivery in host.deliveries():
        things += [delivery, list(host.dispatcher.log.attempts(delivery.id))]
    store = host.dispatcher.settings.store
    destinations = store.destinations([one.id for one in webhook.endpoints])
    things += [destinations, [unihooks._message.requests.prepare(one, 0) for one in destinations.values()]]
    for change in ({"headers": {"Bad Name": header}}, {"headers": {"X": header + "\n"}}, {"secrets": [key]}):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - any of them
            host.dispatcher.webhooks.update(webhook.id, **change)
        things += [refused.value, repr(refused.value.name)]
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        host.dispatcher.webhooks.rotate_secret(webhook.id, secret=key + "x")
    things += [refused.value, str(refused.value)]

    shown = "\n".join([caplog.text, *map(repr, things), *map(str, things)])
    assert host.received()[0].headers["authorization"] == f"Bearer {header}"
    assert header not in shown
    assert key.removeprefix("whsec_")[:20] not in shown


def test_an_end_that_fails_still_closes_the_transport(new_dispatcher, host, monkeypatch):
    closed = []

    class Transport(httpx.MockTransport):
        async def aclose(self):
            closed.append(self)

    async def fail(engine):
        raise RuntimeError("no end")

    dispatcher = new_dispatcher(transport=lambda: Transport(lambda request: httpx.Response(204)), targets=None)
    monkeypatch.setattr(Engine, "_finish", fail)
    with pytest.raises(RuntimeError, match="no end"):
        dispatcher.drain()
    assert len(closed) == 1
