from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from unihooks import DeliveryState, Dispatcher, EventSubscription, PayloadMapping, Webhook
from unihooks._delivery.maintenance import Maintenance
from unihooks.abc import ERASED
from unihooks.exceptions import Conflict, InvalidArgument, StoreError
from unihooks.stores import SQLiteStore
from unihooks.testing import FakeClock

# Pruning.


def test_prune_removes_older_events_in_batches(host):
    host.webhook()
    for _ in range(3):
        host.dispatcher.emit_many([("chat", "x", 1)] * 150)
    host.dispatcher.drain()
    host.clock.advance(60)
    kept = host.emit()

    assert host.dispatcher.prune(older_than=timedelta(minutes=1, seconds=1)) == 0
    assert host.dispatcher.prune(older_than=timedelta(seconds=59)) == 450
    assert [one.id for one in host.dispatcher.log.events()] == [kept.id]
    assert not host.deliveries()


def test_erasing_by_time_looks_at_no_newer_events(host, monkeypatch):
    host.emit()
    host.clock.advance(2 * 24 * 3_600)
    host.dispatcher.emit_many([("chat", "x", 1)] * 1_000)
    store = host.dispatcher.settings.store
    erase, calls = store.erase, []
    monkeypatch.setattr(store, "erase", lambda *args, **options: calls.append(args) or erase(*args, **options))

    assert host.dispatcher.erase(before=host.clock.now - timedelta(days=1)) == 1
    assert len(calls) == 1


def test_prune_leaves_new_and_pending_events(host):
    host.receiver.answer(500)
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    host.emit()
    host.clock.advance(1)

    assert host.dispatcher.prune(older_than=timedelta(0)) == 0
    assert len(host.dispatcher.log.events()) == 2


async def test_prune_takes_a_time_and_has_a_twin(host):
    host.emit()
    await host.dispatcher.adrain()
    assert await host.dispatcher.aprune(older_than=host.clock.now) == 0
    assert await host.dispatcher.aprune(older_than=host.clock.now + timedelta(seconds=1)) == 1


@pytest.mark.parametrize("older_than", [datetime(2026, 1, 1), timedelta(days=-1), 30])  # noqa: DTZ001 - naive on purpose
def test_prune_refuses_a_value_that_is_neither_an_age_nor_an_aware_time(host, older_than):
    with pytest.raises(InvalidArgument, match="older_than"):
        host.dispatcher.prune(older_than=older_than)


# Erasing.


def test_erased_events_keep_their_rows_and_say_nothing(host):
    host.webhook(tenant="acme")
    event = host.emit({"name": "canary"}, tenant="acme")
    host.dispatcher.drain()

    assert host.dispatcher.erase(tenant="acme", event_ids=[event.id]) == 1

    assert host.dispatcher.log.event(event.id, tenant="acme").payload is None
    delivery = host.only(tenant="acme")
    assert delivery.state is DeliveryState.DELIVERED
    (attempt,) = host.dispatcher.log.attempts(delivery.id, tenant="acme")
    assert (attempt.status_code, attempt.response_body, attempt.request_headers) == (204, b"", ())
    with pytest.raises(Conflict, match="erased"):
        host.dispatcher.log.replay(delivery.id, tenant="acme")


def test_pending_or_unplanned_events_are_never_sent_once_erased(host):
    host.receiver.answer(500)
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    host.emit()
    sent = len(host.received())
    host.clock.advance(1)

    assert host.dispatcher.erase(before=host.clock.now) == 2
    host.clock.advance(86_400)
    host.dispatcher.drain()

    assert len(host.received()) == sent
    assert (host.only().state, host.only().reason) == (DeliveryState.CANCELLED, ERASED)


def test_erasing_takes_many_ids_and_is_safe_to_repeat(host):
    ids = [event.id for event in host.dispatcher.emit_many([("chat", "x", 1)] * 450)]
    assert host.dispatcher.erase(event_ids=iter(ids)) == 450
    assert host.dispatcher.erase(event_ids=ids) == 0
    assert host.dispatcher.erase(event_ids=[]) == 0


def test_other_tenants_and_impossible_ids_are_not_found(host):
    event = host.emit(tenant="acme")
    assert host.dispatcher.erase(tenant="other", event_ids=[event.id, "\0", "\ud800", None, "nothing"]) == 0
    assert host.dispatcher.log.event(event.id, tenant="acme").payload == {"text": "hi"}


async def test_erase_has_a_twin(host):
    event = host.emit()
    assert await host.dispatcher.aerase(event_ids=[event.id]) == 1


def test_erase_takes_ids_or_a_time(host):
    for wrong in ({}, {"event_ids": [], "before": datetime.now(UTC)}, {"event_ids": "evt_1"}):
        with pytest.raises(TypeError, match="event_ids"):
            host.dispatcher.erase(**wrong)
    with pytest.raises(InvalidArgument, match="before"):
        host.dispatcher.erase(before=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose


# Idempotency keys.


async def test_a_key_makes_a_new_event_after_the_window(new_dispatcher, clock):
    dispatcher = new_dispatcher(idempotency_window=timedelta(hours=1))
    first = dispatcher.emit("chat", "x", 1, idempotency_key="k")
    for seconds, same in ((3600, True), (1, False)):
        clock.advance(seconds)
        await Maintenance(dispatcher.settings, asyncio.to_thread).once()
        assert (dispatcher.emit("chat", "x", 1, idempotency_key="k") == first) is same


async def test_workers_forget_keys_by_themselves(new_dispatcher, clock):
    dispatcher = new_dispatcher(idempotency_window=timedelta(hours=1))
    dispatcher.emit("chat", "x", 1, idempotency_key="k")
    clock.advance(3601)
    maintenance = Maintenance(dispatcher.settings, asyncio.to_thread)
    await maintenance.when_due()
    await asyncio.wait([maintenance._task])
    assert dispatcher.emit("chat", "x", 2, idempotency_key="k").payload == 2
    await maintenance.finish()


async def test_a_window_of_none_remembers_as_long_as_the_event_is_kept(new_dispatcher, clock):
    dispatcher = new_dispatcher(idempotency_window=None, retention=None)
    first = dispatcher.emit("chat", "x", 1, idempotency_key="k")
    clock.advance(10**8)
    await Maintenance(dispatcher.settings, asyncio.to_thread).once()
    assert dispatcher.emit("chat", "x", 1, idempotency_key="k") == first


def test_a_window_is_longer_than_nothing(store):
    with pytest.raises(ValueError, match="idempotency_window"):
        Dispatcher(store, idempotency_window=timedelta(0))


# Files.


def bytes_of(folder):
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


@pytest.fixture
def dispatcher(tmp_path):
    answers = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))
    with Dispatcher(SQLiteStore(tmp_path / "webhooks.db"), targets=None, transport=answers, clock=FakeClock()) as one:
        yield one


@pytest.mark.parametrize("filler", [0, 300, 20_000], ids=["small", "medium", "many pages"])
def test_erased_bytes_are_gone_from_sqlites_files(dispatcher, tmp_path, filler):
    for mapping in (PayloadMapping(), PayloadMapping(rename={"name": "who"})):
        wanted = [EventSubscription("a", "b")]
        webhook = Webhook(name="w", endpoints=["https://a.example"], subscriptions=wanted, mapping=mapping)
        dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
    rows = [("a", "b", {"name": f"canary-{number}", "fill": "x" * filler}) for number in range(60)]
    dispatcher.emit_many(rows)
    dispatcher.emit_many([("a", "b", {"name": "survivor"})] * 30)
    dispatcher.drain()
    dispatcher.emit_many(rows)
    assert b"canary" in bytes_of(tmp_path)

    told = [event.id for event in dispatcher.log.events(limit=250) if event.payload["name"] != "survivor"]
    assert dispatcher.erase(event_ids=told) == 120

    assert b"canary" not in bytes_of(tmp_path)
    assert b"survivor" in bytes_of(tmp_path)


def test_erasing_reports_a_reader_that_holds_old_pages_and_succeeds_when_repeated(dispatcher, tmp_path, monkeypatch):
    monkeypatch.setattr("unihooks.stores.sqlite.database._PATIENCE", 0.5)
    event = dispatcher.emit("a", "b", {"name": "canary"})
    reader = sqlite3.connect(tmp_path / "webhooks.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM unihooks_events").fetchone()

    with pytest.raises(StoreError, match="erase again"):
        dispatcher.erase(event_ids=[event.id])
    reader.close()

    assert dispatcher.erase(event_ids=[event.id]) == 0
    assert b"canary" not in bytes_of(tmp_path)


def test_prune_passes_over_old_events_that_stay_in_short_transactions(host, monkeypatch):
    host.receiver.always(500)
    host.webhook()
    host.dispatcher.emit_many([("chat", "x", 1)] * 450)
    host.dispatcher.drain()
    host.clock.advance(1)
    store = host.dispatcher.settings.store
    write, writes = store._database.write, []

    def noted(work):
        # What an emit waits for is one of these at most.
        writes.append(work)
        return write(work)

    monkeypatch.setattr(store._database, "write", noted)
    assert store.prune(store.now(), 100) == 0
    assert len(writes) == 5
