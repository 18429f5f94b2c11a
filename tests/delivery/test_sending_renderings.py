"""A worker renders a body when it sends it, and only once for all endpoints of a webhook."""

from __future__ import annotations

import asyncio
import threading

import pytest

from unihooks import DeliveryState, PayloadMapping
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.engine import Engine
from unihooks._delivery.work_state import WorkerLimits
from unihooks._message.rendering import Rendering

RENAMED = PayloadMapping(rename={"text": "body"})


@pytest.fixture
def learned(monkeypatch):
    """Note what the endpoint queues learn of how long each delivery took."""
    learned, done = [], EndpointQueues.done

    def noting(queues, endpoint_id, *, succeeded, seconds):
        learned.append(seconds)
        done(queues, endpoint_id, succeeded=succeeded, seconds=seconds)

    monkeypatch.setattr(EndpointQueues, "done", noting)
    return learned


def test_endpoints_of_one_webhook_are_sent_a_body_that_is_rendered_once(host, monkeypatch):
    rendered, whole = [], Rendering.render
    monkeypatch.setattr(Rendering, "render", lambda *args: rendered.append(args) or whole(*args))
    webhook = host.webhook("/a", "/b", mapping=RENAMED)
    host.webhook("/plain")
    host.emit({"text": "hi", "body": "replaced"})
    assert host.dispatcher.drain().delivered == 3
    assert sorted((one.path, one.body) for one in host.received()) == [
        ("/a", b'{"body":"hi"}'),
        ("/b", b'{"body":"hi"}'),
        ("/plain", b'{"text":"hi","body":"replaced"}'),
    ]
    assert len(rendered) == 1
    host.verify(host.received("/a")[0], *webhook.secrets)


@pytest.mark.parametrize("size", [10, 20_000], ids=["small", "large"])
def test_a_rendering_that_fails_ends_the_delivery_unsent_with_its_reason(host, learned, caplog, size):
    told = []
    dispatcher = host.new_dispatcher(on_delivery=told.append)
    webhook = host.webhook(mapping=PayloadMapping(rename={"items[*].a": "x" * 2_000}))
    host.emit({"items": [{"a": 1}] * 200, "text": "x" * size})
    result = dispatcher.drain()

    assert (result.attempted, result.delivered, result.failed) == (0, 0, 1)
    assert host.received() == []
    delivery = host.only()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 0)
    assert delivery.reason.startswith("the payload mapping failed: $: ")
    assert list(dispatcher.log.attempts(delivery.id)) == []
    assert told == [delivery]
    assert f"delivery={delivery.id} reason=the payload mapping failed" in caplog.text
    # Neither the queue nor the health of the endpoint learns from it.
    assert learned == [None]
    assert dispatcher.stats().failing_endpoints == 0
    assert dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


def test_a_body_that_cannot_be_rendered_for_now_waits_and_is_never_sent_unmapped(host, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.pacing._STORE_PATIENCE_SECONDS", 0.01)
    store = type(host.dispatcher.settings.store)
    asked, known, whole = threading.Semaphore(0), threading.Event(), store.renderings

    def renderings(self, ids):
        asked.release()
        return whole(self, ids) if known.is_set() else {}

    monkeypatch.setattr(store, "renderings", renderings)
    host.webhook(mapping=RENAMED)
    with host.dispatcher.running():
        host.emit()
        for _ in range(2):
            assert asked.acquire(timeout=10)
        assert host.received() == []
        known.set()
        host.receiver.wait_for(1)
    assert [one.body for one in host.received()] == [b'{"body":"hi"}']


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_time_spent_on_rendering_counts_for_how_fast_an_endpoint_is(host, learned, monkeypatch):
    whole = Rendering.render
    monkeypatch.setattr(Rendering, "render", lambda *args: (threading.Event().wait(0.2), whole(*args))[1])
    host.webhook(mapping=RENAMED)
    host.emit({"text": "x" * 20_000})
    host.dispatcher.drain()
    assert learned[0] >= 0.2


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_a_delivery_rendered_too_late_for_its_lease_is_released(new_dispatcher, host, monkeypatch):
    dispatcher = new_dispatcher(deadline=0.2)
    gate, whole = threading.Event(), Rendering.render
    monkeypatch.setattr(Rendering, "render", lambda *args: (gate.wait(10), whole(*args))[1])
    host.webhook(mapping=RENAMED)
    host.emit({"text": "x" * 20_000})
    limits = WorkerLimits(concurrency=1, per_endpoint=1, lease=0.3, grace=3)
    async with Engine(dispatcher.settings, limits) as engine:
        await engine._take_work()
        # A request under this lease may start within 0.1 s, which are over then.
        await asyncio.sleep(0.2)
        gate.set()
        await asyncio.wait(set(engine._sender._slots))
        assert [one.id for one in engine._sender.unsent] == [host.only().id]
    assert host.received() == []


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_bodies_are_let_go_when_all_is_sent(host, monkeypatch):
    forgotten = []
    monkeypatch.setattr("unihooks._delivery.rendering.Renderer.forget_bodies", lambda _: forgotten.append(1))
    host.webhook(mapping=RENAMED)
    host.emit()
    host.dispatcher.drain()
    assert forgotten
