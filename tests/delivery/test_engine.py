from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from waiting import SECONDS

import unihooks
from unihooks import (
    DeliveryState,
    EventSubscription,
)
from unihooks._delivery.engine import Engine
from unihooks._delivery.sending import Sender
from unihooks._delivery.waiting import Leased
from unihooks._delivery.work_state import WorkerLimits
from unihooks.abc import Capacity, Claimed, Lease, Work
from unihooks.exceptions import StoreError
from unihooks.testing import Answer

LIMITS = WorkerLimits(concurrency=512, per_endpoint=32, lease=30, grace=22)


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


def test_drain_continues_until_nothing_is_due(host):
    host.webhook()
    host.dispatcher.emit_many([("chat", "x", number) for number in range(700)])
    assert host.dispatcher.drain(timeout=60).delivered == 700
    assert Counter(request.json() for request in host.received()) == Counter(range(700))


def test_drain_attempts_deliveries_that_become_due_while_it_works(host, new_dispatcher):
    dispatcher = new_dispatcher(on_delivery=lambda _delivery: host.received("/b") or dispatcher.emit("chat", "x", 2))
    host.webhook("/a")
    host.webhook("/b", subscriptions=[EventSubscription("chat", "x")])
    host.emit()
    assert dispatcher.drain().delivered >= 1


def test_drain_stops_starting_at_its_timeout_and_finishes_started_attempts(new_dispatcher, host):
    dispatcher = new_dispatcher()
    host.webhook()
    host.receiver.always(Answer(204, delay=0.6))
    dispatcher.drain()  # a first connection takes longer than the drain below
    dispatcher.emit_many([("chat", "x", number) for number in range(100)])
    result = dispatcher.drain(timeout=0.5)

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


def test_drain_removes_events_past_their_retention(new_dispatcher, host):
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
        # By then, less of the lease is left than the deadline.
        late.wait(0.2)
        return found(self, endpoint_ids)

    monkeypatch.setattr(type(store), "destinations", slow)
    limits = WorkerLimits(concurrency=1, per_endpoint=1, lease=0.3, grace=3)
    async with Engine(dispatcher.settings, limits) as engine:
        await engine._take_work()
        # On a slow machine the lease ends while the delivery is still queued.
        await asyncio.gather(*engine._sender._slots)
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


async def test_a_late_result_counts_until_another_worker_has_claimed(host, one_attempt):
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
    looks, seen, peek = [0], threading.Event(), store.peek

    def look(self):
        looks[0] += 1
        if looks[0] % 30 == 0:
            seen.set()
        return peek(self)

    monkeypatch.setattr(store, "peek", look)
    with host.dispatcher.running():
        assert seen.wait(SECONDS)  # by now it has noted that it lives
        connection = sqlite3.connect(tmp_path / "webhooks.db")
        before = connection.execute("PRAGMA data_version").fetchone()
        seen.clear()
        assert seen.wait(SECONDS)
        assert connection.execute("PRAGMA data_version").fetchone() == before
        connection.close()


def test_events_of_this_process_are_planned_without_a_look_first(host, monkeypatch, until):
    host.webhook()
    with host.dispatcher.running():
        assert until(lambda: host.dispatcher.settings.store._database.watchers)
        nothing = Work(new_events=False, next_due=None)
        monkeypatch.setattr(type(host.dispatcher.settings.store), "work", lambda _self, *_, **__: nothing)
        host.emit()
        host.receiver.wait_for(1)


def test_endless_emits_do_not_prevent_looks_for_due_deliveries(host, monkeypatch):
    monkeypatch.setattr("unihooks.stores.sql.store._SECONDS_BETWEEN_WORK", 0.5)
    looked = threading.Event()
    planned = threading.Semaphore(0)
    whole, plan = type(host.dispatcher.settings.store).work, type(host.dispatcher.settings.store).plan
    monkeypatch.setattr(
        type(host.dispatcher.settings.store), "work", lambda self, *a, **k: (looked.set(), whole(self, *a, **k))[1]
    )

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
            assert planned.acquire(timeout=SECONDS)
        looked.clear()
        assert looked.wait(SECONDS)


async def test_after_a_fork_a_wake_in_the_child_does_nothing(host):
    async with Engine(host.dispatcher.settings, LIMITS) as engine:
        engine._taker._pid = -1
        host.dispatcher.wake()
        await asyncio.sleep(0)
        assert engine._state.rests


def test_a_worker_that_has_ended_is_not_woken(host):
    host.dispatcher.drain()
    assert not host.dispatcher.settings.store._database.watchers
    host.dispatcher.wake()


def test_requests_in_flight_when_a_worker_died_are_sent_again_after_their_lease(host, monkeypatch):
    host.webhook()
    host.emit()
    store = host.dispatcher.settings.store
    (claimed,) = store.plan(Lease(token=1, seconds=30), Capacity(10, 10), 10).claimed
    assert host.dispatcher.drain().attempted == 0
    host.clock.advance(30)
    assert host.dispatcher.drain().delivered == 1
    assert host.only().id == claimed.id


def test_a_worker_outlives_a_store_that_fails(host, failing, caplog, until):
    host.webhook()
    store = host.dispatcher.settings.store
    left = [failing(store, verb) for verb in ("work", "plan", "record", "peek", "heartbeat")]
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
        assert until(lambda: host.only().state is DeliveryState.DELIVERED)
    assert [one[0] for one in left] == [0] * 5
    assert "the disk is full" in caplog.text


@pytest.fixture
def stale(host, monkeypatch):
    """A worker that has sent to an endpoint whose configuration has changed since."""
    monkeypatch.setattr("unihooks._delivery.destinations._FRESH_SECONDS", -1)
    webhook = host.webhook()
    with host.dispatcher.running() as worker:
        host.emit()
        host.receiver.wait_for(1)
        host.dispatcher.webhooks.update(webhook.id, description="changed")
        yield worker


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("verb", ["config_versions", "destinations"])
def test_a_delivery_whose_destination_cannot_be_read_for_now_does_not_wait_for_its_lease(host, failing, verb):
    left = failing(host.dispatcher.settings.store, verb)
    host.emit()
    host.receiver.wait_for(2)
    assert left[0] == 0


def test_a_failed_release_is_retried_later(host, failing):
    host.webhook()
    failing(host.dispatcher.settings.store, "destinations")
    left = failing(host.dispatcher.settings.store, "release", times=2)
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
    assert left[0] == 0


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("verb", ["config_versions", "destinations"])
def test_a_delivery_whose_destination_causes_an_error_is_tried_again_after_its_lease(
    host, failing, caplog, verb, until
):
    left = failing(host.dispatcher.settings.store, verb, error=RuntimeError("a bug"))
    host.emit()
    assert until(lambda: left[0] == 0 and "could not be attempted" in caplog.text)
    host.clock.advance(30)
    host.receiver.wait_for(2)


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

    def refuse(destination, *more):
        if destination.url.endswith("/bad"):
            raise RuntimeError("no key")
        return prepare(destination, *more)

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


def test_an_endpoint_disabled_meanwhile_gets_no_leased_deliveries(host):
    webhook = host.webhook()
    host.receiver.answer(Answer(410, delay=0.1), Answer(410, delay=0.1))
    host.dispatcher.emit_many([("chat", "x", number) for number in range(30)])
    host.dispatcher.drain()
    # Two were in flight at once; the others are held.
    assert len(host.received()) == 2
    assert not host.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled
    assert all(delivery.held for delivery in host.deliveries(state="pending"))


async def test_many_begin_a_few_in_each_turn_of_the_loop(host, monkeypatch):
    begun, turns = [], []

    async def run_slot(sender, leased):
        begun.append(leased)

    monkeypatch.setattr(Sender, "_run_slot", run_slot)
    async with Engine(host.dispatcher.settings, LIMITS) as engine:
        for number in range(200):
            claimed = Claimed("t", f"dlv_{number}", "e", "w", f"ep_{number}", "p", "x", b"", 0, 0, 1, 1)
            engine._queues._experience.keep(claimed.endpoint_id, width=1, doubts=0)
            engine._queues.add(Leased(claimed, 0.0))
        engine._sender.fill_slots()
        while len(begun) < 200:
            turns.append(len(begun))
            await asyncio.sleep(0)
    together = [after - before for before, after in pairwise([*turns, len(begun)])]
    assert max(together) <= 64


async def test_deliveries_claimed_after_the_end_has_begun_are_released(host):
    host.webhook()
    host.emit()
    lease = Lease(token=1, seconds=30)
    async with Engine(host.dispatcher.settings, LIMITS) as engine:
        await engine._sender.finish(1)
        engine._sender.start(host.dispatcher.settings.store.plan(lease, Capacity(10, 10), 10).claimed, 1e12)
        assert not engine._sender._slots
    assert host.received() == []
    # It is due at once, and not only when its lease ends.
    assert host.dispatcher.drain().delivered == 1


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
