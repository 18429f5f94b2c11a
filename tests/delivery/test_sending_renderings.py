"""A worker sends what renderings make of events."""

from __future__ import annotations

import asyncio
import threading

import pytest
from attrs import evolve

from unihooks import DeliveryState, PayloadMapping
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.engine import Engine, Limits
from unihooks._message.rendering import Rendering
from unihooks.abc import Recorded

pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)

RENAMED = Rendering(PayloadMapping(rename={"text": "body"}))


class Names:
    """What makes a store name a rendering with each delivery that it leases, and take results of those unsent."""

    def __init__(self, store, monkeypatch):
        self.rendering = RENAMED
        self.known = True
        self.asked = threading.Event()
        self.unsent = []
        self._kind = type(store)
        for verb in ("plan", "claim", "record"):
            monkeypatch.setattr(self._kind, verb, self._changed(verb, getattr(self._kind, verb)))

    def _changed(self, verb, whole):
        change = getattr(self, f"_{verb}")
        return lambda store, *args: change(whole, store, *args)

    def _plan(self, whole, *args):
        planned = whole(*args)
        return evolve(planned, claimed=[evolve(one, rendering=self.rendering.id) for one in planned.claimed])

    def _claim(self, whole, *args):
        return [evolve(one, rendering=self.rendering.id) for one in whole(*args)]

    def _record(self, whole, store, results):
        self.unsent += (unsent := [one for one in results if one.attempt is None])
        recorded = whole(store, [one for one in results if one.attempt is not None])
        return Recorded(accepted=[*recorded.accepted, *(one.claimed.id for one in unsent)], disabled=recorded.disabled)

    def _renderings(self, ids):
        self.asked.set()
        return {self.rendering.id: self.rendering} if self.known else {}


@pytest.fixture
def names(store, monkeypatch):
    names = Names(store, monkeypatch)
    monkeypatch.setattr(type(store), "renderings", lambda _store, ids: names._renderings(ids))
    return names


def test_each_endpoint_is_sent_what_the_rendering_makes_of_the_event(host, names):
    webhook = host.webhook("/a", "/b")
    host.emit({"text": "hi", "body": "replaced"})
    assert host.dispatcher.drain().delivered == 2
    assert sorted((one.path, one.body) for one in host.received()) == [
        ("/a", b'{"body":"hi"}'),
        ("/b", b'{"body":"hi"}'),
    ]
    host.verify(host.received()[0], *webhook.secrets)
    (attempt,) = host.dispatcher.log.attempts(host.deliveries()[0].id)
    assert attempt.warnings == ("renaming 'text' to 'body' replaced a property of that name",)


def test_a_retry_renders_the_same_bytes_anew(host, names):
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    host.clock.advance(60)
    assert host.dispatcher.drain().delivered == 1
    assert [one.body for one in host.received()] == [b'{"body":"hi"}'] * 2


@pytest.mark.parametrize("size", [10, 20_000], ids=["small", "large"])
def test_a_rendering_that_fails_ends_the_delivery_unsent_with_its_reason(host, names, monkeypatch, caplog, size):
    learned = []
    monkeypatch.setattr(EndpointQueues, "done", _noting(learned))
    told = []
    dispatcher = host.new_dispatcher(on_delivery=told.append)
    host.webhook()
    names.rendering = Rendering(PayloadMapping(rename={"items[*].a": "x" * 2_000}))
    host.emit({"items": [{"a": 1}] * 200, "text": "x" * size})
    result = dispatcher.drain()

    assert (result.attempted, result.delivered, result.failed) == (0, 0, 1)
    assert host.received() == []
    (unsent,) = names.unsent
    assert unsent.state is DeliveryState.FAILED
    assert unsent.reason.startswith("the payload mapping failed: $: ")
    assert (unsent.claimed.attempt_count, unsent.disable, unsent.retry_in_us) == (0, None, None)
    assert [one.id for one in told] == [unsent.claimed.id]
    assert f"delivery={unsent.claimed.id} reason=the payload mapping failed" in caplog.text
    assert learned == [None]


def _noting(learned):
    done = EndpointQueues.done

    def noting(queues, endpoint_id, *, succeeded, seconds):
        learned.append(seconds)
        done(queues, endpoint_id, succeeded=succeeded, seconds=seconds)

    return noting


def test_what_the_store_cannot_render_waits_and_is_never_sent_as_it_is(host, names, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.sending._STORE_PATIENCE_SECONDS", 0.01)
    host.webhook()
    names.known = False
    with host.dispatcher.running():
        host.emit()
        assert names.asked.wait(10)
        names.asked.clear()
        assert names.asked.wait(10)
        assert host.received() == []
        names.known = True
        host.receiver.wait_for(1)
    assert [one.body for one in host.received()] == [b'{"body":"hi"}']


def test_time_spent_on_rendering_counts_for_how_fast_an_endpoint_is(host, names, monkeypatch):
    learned, whole = [], Rendering.render

    def slow(rendering, body):
        threading.Event().wait(0.2)
        return whole(rendering, body)

    monkeypatch.setattr(Rendering, "render", slow)
    monkeypatch.setattr(EndpointQueues, "done", _noting(learned))
    host.webhook()
    host.emit({"text": "x" * 20_000})
    host.dispatcher.drain()
    assert learned[0] >= 0.2


async def test_what_is_rendered_too_late_for_its_lease_is_given_back(new_dispatcher, host, names, monkeypatch):
    dispatcher = new_dispatcher(deadline=0.2)
    gate, whole = threading.Event(), Rendering.render
    monkeypatch.setattr(Rendering, "render", lambda *args: (gate.wait(10), whole(*args))[1])
    host.webhook()
    host.emit({"text": "x" * 20_000})
    limits = Limits(concurrency=1, per_endpoint=1, lease=0.3, grace=3)
    async with Engine(dispatcher.settings, limits) as engine:
        await engine._take_work()
        await asyncio.sleep(0.2)
        gate.set()
        await asyncio.wait(set(engine._sender._slots))
        assert [one.id for one in engine._sender.unsent] == [host.only().id]
    assert host.received() == []


def test_bodies_are_let_go_when_all_is_sent(host, names, monkeypatch):
    forgotten = []
    monkeypatch.setattr("unihooks._delivery.rendering.Renderer.forget_bodies", lambda _: forgotten.append(1))
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    assert forgotten
