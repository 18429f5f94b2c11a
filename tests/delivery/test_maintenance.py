from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from unihooks import DeliveryState
from unihooks._delivery.maintenance import Upkeep
from unihooks.exceptions import StoreError


async def offload(function, *args):
    return await asyncio.to_thread(function, *args)


@pytest.fixture
def upkeep_of():
    def make(dispatcher):
        upkeep = Upkeep(dispatcher.settings, offload)
        upkeep.start()
        return upkeep

    return make


async def done(upkeep):
    """Wait for the chores that were started."""
    if upkeep._task is not None:
        await asyncio.wait([upkeep._task])


async def test_the_first_chores_are_due_at_once_and_the_next_after_30_s(host, upkeep_of):
    upkeep = upkeep_of(host.dispatcher)
    assert upkeep.is_due()
    await upkeep.when_due()
    assert not upkeep.is_due()
    await done(upkeep)
    assert not upkeep.is_due()
    host.clock.advance(29.9)
    assert not upkeep.is_due()
    host.clock.advance(0.1)
    assert upkeep.is_due()
    await upkeep.finish()


async def test_a_clock_that_was_put_back_does_not_put_the_chores_off(new_dispatcher):
    moments = [datetime(2026, 1, 2, tzinfo=UTC)]
    upkeep = Upkeep(new_dispatcher(clock=lambda: moments[-1]).settings, offload)
    await upkeep.when_due()
    await done(upkeep)
    moments.append(datetime(2026, 1, 1, tzinfo=UTC))
    assert upkeep.is_due()
    await upkeep.when_due()
    assert not upkeep.is_due()
    await upkeep.finish()


async def test_a_worker_is_seen_while_it_lives(host, upkeep_of):
    upkeep = upkeep_of(host.dispatcher)
    await upkeep.when_due()
    await done(upkeep)
    assert [one.id for one in host.dispatcher.stats().workers] == [upkeep.worker_id]
    host.clock.advance(61)
    assert not host.dispatcher.stats().workers
    await upkeep.when_due()
    await done(upkeep)
    assert host.dispatcher.stats().workers
    await upkeep.finish()
    assert not host.dispatcher.stats().workers


async def test_held_and_old_things_go_in_batches(host, upkeep_of, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.maintenance._BATCH", 3)
    monkeypatch.setattr("unihooks._delivery.maintenance._PAUSE_SECONDS", 0)
    webhook = host.webhook()
    host.dispatcher.emit_many([("chat", "x", number) for number in range(10)])
    host.dispatcher.webhooks.deactivate(webhook.id)
    await host.dispatcher.adrain()
    host.clock.advance(timedelta(days=5, seconds=1))
    upkeep = upkeep_of(host.dispatcher)
    await upkeep.when_due()
    await done(upkeep)
    assert len(host.deliveries(state=DeliveryState.CANCELLED)) == 10

    host.clock.advance(timedelta(days=30))
    await upkeep.when_due()
    await done(upkeep)
    assert not host.dispatcher.log.events()
    assert not host.deliveries()
    await upkeep.finish()


async def test_what_is_pending_is_never_pruned(new_dispatcher, host, upkeep_of):
    dispatcher = new_dispatcher(retention=timedelta(minutes=1))
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    await dispatcher.adrain()
    host.clock.advance(3600)
    upkeep = upkeep_of(dispatcher)
    await upkeep.when_due()
    await done(upkeep)
    await upkeep.finish()
    assert host.only().state is DeliveryState.PENDING


async def test_with_retention_none_nothing_is_pruned(new_dispatcher, host, upkeep_of):
    dispatcher = new_dispatcher(retention=None)
    host.emit()
    await dispatcher.adrain()
    host.clock.advance(timedelta(days=3650))
    upkeep = upkeep_of(dispatcher)
    await upkeep.when_due()
    await done(upkeep)
    await upkeep.finish()
    assert len(dispatcher.log.events()) == 1


async def test_upkeep_outlives_a_store_that_fails(host, upkeep_of, monkeypatch, caplog):
    def fail(*_args, **_options):
        raise StoreError("the disk is full")

    store = type(host.dispatcher.settings.store)
    beat = store.heartbeat
    monkeypatch.setattr(store, "heartbeat", fail)
    upkeep = upkeep_of(host.dispatcher)
    await upkeep.when_due()
    await done(upkeep)
    await upkeep.finish()
    assert "will be tried again" in caplog.text
    assert "cannot be noted" in caplog.text

    monkeypatch.setattr(store, "heartbeat", beat)
    host.clock.advance(30)
    await upkeep.when_due()
    await done(upkeep)
    assert host.dispatcher.stats().workers
    await upkeep.finish()


async def test_finishing_stops_the_chores_that_run(host, upkeep_of):
    upkeep = upkeep_of(host.dispatcher)
    await upkeep.finish()
    await upkeep.when_due()
    await upkeep.finish()
    assert upkeep._task.done()
