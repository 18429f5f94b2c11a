from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from unihooks import DeliveryState
from unihooks._delivery.maintenance import Maintenance
from unihooks.abc import ALONE, StateKey, StateKind
from unihooks.exceptions import StoreError


async def offload(function, *args):
    return await asyncio.to_thread(function, *args)


@pytest.fixture
def maintenance_of():
    def make(dispatcher):
        maintenance = Maintenance(dispatcher.settings, offload)
        maintenance.start()
        return maintenance

    return make


async def done(maintenance):
    """Wait for the chores that were started."""
    if maintenance._task is not None:
        await asyncio.wait([maintenance._task])


async def test_the_first_heartbeat_is_due_at_once_and_the_next_when_the_store_wants_it(host, maintenance_of):
    maintenance, seconds = maintenance_of(host.dispatcher), host.dispatcher.settings.store.heartbeat_seconds()
    assert seconds <= 30
    assert maintenance.is_due()
    await maintenance.when_due()
    assert not maintenance.is_due()
    await done(maintenance)
    assert not maintenance.is_due()
    host.clock.advance(seconds - 0.1)
    assert not maintenance.is_due()
    host.clock.advance(0.1)
    assert maintenance.is_due()
    await maintenance.finish()


async def test_chores_are_done_at_once_and_every_30_s_however_often_hearts_beat(host, maintenance_of, monkeypatch):
    store, times = host.dispatcher.settings.store, []
    expire = store.expire_held
    monkeypatch.setattr(type(store), "heartbeat_seconds", lambda _: 10.0)
    monkeypatch.setattr(store, "expire_held", lambda *args: (times.append(store.now()), expire(*args))[1])
    maintenance = maintenance_of(host.dispatcher)
    for _ in range(7):
        assert maintenance.is_due()
        await maintenance.when_due()
        await done(maintenance)
        host.clock.advance(10)
    assert [at - times[0] for at in times] == [0, 30_000_000, 60_000_000]
    await maintenance.finish()


async def test_a_worker_learns_its_share_by_its_heartbeats(new_dispatcher, maintenance_of, request):
    host = new_dispatcher()
    workers = [maintenance_of(host) for _ in range(3)]
    for worker in [*workers, *workers]:
        worker.start()
        await worker.when_due()
        await done(worker)
    if "postgres" in request.node.name:
        ranks = [worker.worker_id for worker in sorted(workers, key=lambda worker: worker.share.rank)]
        assert ranks == sorted(ranks)
        assert {worker.share.of for worker in workers} == {3}
    else:
        # One process writes at a time, so there are no parts.
        assert {worker.share for worker in workers} == {ALONE}
    for worker in workers:
        await worker.finish()


async def test_a_clock_that_was_put_back_does_not_put_the_chores_off(new_dispatcher):
    moments = [datetime(2026, 1, 2, tzinfo=UTC)]
    maintenance = Maintenance(new_dispatcher(clock=lambda: moments[-1]).settings, offload)
    await maintenance.when_due()
    await done(maintenance)
    moments.append(datetime(2026, 1, 1, tzinfo=UTC))
    assert maintenance.is_due()
    await maintenance.when_due()
    assert not maintenance.is_due()
    await maintenance.finish()


async def test_a_worker_is_seen_while_it_lives(host, maintenance_of):
    maintenance = maintenance_of(host.dispatcher)
    await maintenance.when_due()
    await done(maintenance)
    assert [one.id for one in host.dispatcher.stats().workers] == [maintenance.worker_id]
    host.clock.advance(61)
    assert not host.dispatcher.stats().workers
    await maintenance.when_due()
    await done(maintenance)
    assert host.dispatcher.stats().workers
    await maintenance.finish()
    assert not host.dispatcher.stats().workers


async def test_held_and_old_things_go_in_batches(host, maintenance_of, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.maintenance._BATCH", 3)
    monkeypatch.setattr("unihooks._delivery.maintenance._PAUSE_SECONDS", 0)
    webhook = host.webhook()
    host.dispatcher.emit_many([("chat", "x", number) for number in range(10)])
    host.dispatcher.webhooks.deactivate(webhook.id)
    await host.dispatcher.adrain()
    host.clock.advance(timedelta(days=5, seconds=1))
    maintenance = maintenance_of(host.dispatcher)
    await maintenance.when_due()
    await done(maintenance)
    assert len(host.deliveries(state=DeliveryState.CANCELLED)) == 10

    host.clock.advance(timedelta(days=30))
    await maintenance.when_due()
    await done(maintenance)
    assert not host.dispatcher.log.events()
    assert not host.deliveries()
    await maintenance.finish()


async def test_expired_state_of_a_console_is_removed(host, maintenance_of, monkeypatch):
    store, removed = host.dispatcher.settings.store, []
    expire = store.expire_state
    monkeypatch.setattr(store, "expire_state", lambda *args: removed.append(expire(*args)) or removed[-1])
    key = StateKey("acme", "ada", StateKind.DRAFT, "drf_1")
    host.dispatcher.settings.open_store.put_state(key, {"name": "x"}, keep_us=60_000_000, at_most=5)
    maintenance = maintenance_of(host.dispatcher)
    for _ in range(2):
        await maintenance.once()
        host.clock.advance(61)
    await maintenance.once()
    assert removed == [0, 1, 0]


async def test_pending_deliveries_are_never_pruned(new_dispatcher, host, maintenance_of):
    dispatcher = new_dispatcher(retention=timedelta(minutes=1))
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    await dispatcher.adrain()
    host.clock.advance(3600)
    maintenance = maintenance_of(dispatcher)
    await maintenance.when_due()
    await done(maintenance)
    await maintenance.finish()
    assert host.only().state is DeliveryState.PENDING


async def test_with_retention_none_nothing_is_pruned(new_dispatcher, host, maintenance_of):
    dispatcher = new_dispatcher(retention=None)
    host.emit()
    await dispatcher.adrain()
    host.clock.advance(timedelta(days=3650))
    maintenance = maintenance_of(dispatcher)
    await maintenance.when_due()
    await done(maintenance)
    await maintenance.finish()
    assert len(dispatcher.log.events()) == 1


async def test_maintenance_outlives_a_store_that_fails(host, maintenance_of, monkeypatch, caplog):
    def fail(*_args, **_options):
        raise StoreError("the disk is full")

    store = type(host.dispatcher.settings.store)
    beat = store.heartbeat
    monkeypatch.setattr(store, "heartbeat", fail)
    maintenance = maintenance_of(host.dispatcher)
    await maintenance.when_due()
    await done(maintenance)
    await maintenance.finish()
    assert "will be tried again" in caplog.text
    assert "was not told that this worker has ended" in caplog.text

    monkeypatch.setattr(store, "heartbeat", beat)
    host.clock.advance(30)
    await maintenance.when_due()
    await done(maintenance)
    assert host.dispatcher.stats().workers
    await maintenance.finish()


async def test_finishing_stops_the_chores_that_run(host, maintenance_of):
    maintenance = maintenance_of(host.dispatcher)
    await maintenance.finish()
    await maintenance.when_due()
    await maintenance.finish()
    assert maintenance._task.done()


@pytest.mark.parametrize("days, is_exact", [(30, False), (7, False), (6, True)])
async def test_a_retention_of_weeks_may_remove_whole_days(store, new_dispatcher, monkeypatch, days, is_exact):
    asked = []
    monkeypatch.setattr(store, "prune", lambda *_, exact: asked.append(exact) or 0)
    dispatcher = new_dispatcher(retention=timedelta(days=days))
    await Maintenance(dispatcher.settings, offload).once()
    assert asked == [is_exact]
