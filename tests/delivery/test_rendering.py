from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from waiting import await_for

from unihooks import PayloadMapping
from unihooks._delivery import rendering
from unihooks._delivery.rendering import Renderer
from unihooks._message.rendering import Rendered, Rendering, RenderingFailed
from unihooks.abc import Claimed
from unihooks.exceptions import StoreError

SMALL = b'{"a":1}'
LARGE = b'{"a":1,"text":"' + b"x" * 20_000 + b'"}'
RENAMED = Rendering(PayloadMapping(rename={"a": "b"}))
# Renaming makes the body longer than a payload may be.
HUGE = Rendering(PayloadMapping(rename={"items[*].a": "x" * 100}))
MANY_ITEMS = b'{"items":[' + b'{"a":1},' * 9_999 + b'{"a":1}]}'


class Shelf:
    """What a renderer needs of a store."""

    def __init__(self, *renderings):
        self.held = {one.id: one for one in renderings}
        self.asked = []
        self.error = None

    def renderings(self, ids):
        self.asked.append(sorted(ids))
        if self.error is not None:
            raise self.error
        return {one: self.held[one] for one in ids if one in self.held}


class Desk:
    """A renderer and its store; counts what is rendered, and can hold it up."""

    def __init__(self, *renderings):
        self.shelf = Shelf(*renderings)
        self.renderer = Renderer(self.shelf, self._offload)
        self.rendered = Counter()
        self.threads = []
        self.gates = {}

    async def _offload(self, function, *args):
        await asyncio.sleep(0)
        return function(*args)

    def render(self, event_id="evt_1", *, body=SMALL, by=RENAMED, tenant="t"):
        return self.renderer.render(claimed(event_id, body, by.id, tenant), by.id)

    def hold(self, body):
        """Hold up the rendering of this body until the event that is returned is set."""
        self.gates[body] = threading.Event()
        return self.gates[body]


def claimed(event_id, body=SMALL, rendering_id=RENAMED.id, tenant="t"):
    return Claimed(tenant, "dlv_1", event_id, "w", "ep_1", "p", "x", body, 0, 0, 1, 1, rendering_id)


@pytest.fixture
async def desk(monkeypatch):
    desk = Desk(RENAMED, HUGE)
    whole = Rendering.render

    def render(self, body):
        desk.rendered[body] += 1
        desk.threads.append(threading.current_thread())
        if body in desk.gates:
            assert desk.gates[body].wait(10)
        return whole(self, body)

    monkeypatch.setattr(Rendering, "render", render)
    yield desk
    for gate in desk.gates.values():
        gate.set()
    desk.renderer.close()


def large(number):
    return b'{"n":%d,"text":"' % number + b"x" * 20_000 + b'"}'


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
async def test_endpoints_of_one_webhook_share_a_rendered_body(desk, body):
    bodies = await asyncio.gather(*(desk.render(body=body) for _ in range(5)))
    bodies.append(await desk.render(body=body))
    assert set(bodies) == {Rendered(body.replace(b'"a"', b'"b"'))}
    assert desk.rendered == {body: 1}


async def test_events_and_renderings_share_nothing(desk):
    await desk.render("evt_1")
    await desk.render("evt_2")
    other = Rendering(PayloadMapping(remove=["a"]))
    desk.shelf.held[other.id] = other
    assert (await desk.render("evt_1", by=other)).body == b"{}"
    assert desk.rendered == {SMALL: 3}


async def test_only_a_large_body_is_rendered_in_a_thread(desk):
    await desk.render("evt_1")
    await desk.render("evt_2", body=LARGE)
    here, elsewhere = desk.threads
    assert here is threading.current_thread()
    assert elsewhere.name.startswith("unihooks-rendering")


async def test_a_large_body_is_rendered_at_once_where_another_one_was_quick(desk, monkeypatch):
    monkeypatch.setattr(rendering, "_SECONDS_AT_ONCE", 60)
    for number in range(3):
        await desk.render(f"evt_{number}", body=large(number))
    assert desk.threads[0].name.startswith("unihooks-rendering")
    assert desk.threads[1:] == [threading.current_thread()] * 2


async def test_a_large_body_is_rendered_in_a_thread_where_another_one_was_slow(desk):
    known = await desk.renderer._find(RENAMED.id)
    known.most_at_once = 300_000
    await desk.render("evt_1", body=b'{"a":[' + b"1," * 100_000 + b"1]}")
    await desk.render("evt_2", body=b'{"a":[' + b"1," * 99_999 + b"1]}")
    assert desk.threads[0] is threading.current_thread()
    assert desk.threads[1].name.startswith("unihooks-rendering")


async def test_the_time_of_a_failed_rendering_is_learned_too(desk):
    known = await desk.renderer._find(HUGE.id)
    known.most_at_once = len(MANY_ITEMS)
    with pytest.raises(RenderingFailed):
        await desk.render(body=MANY_ITEMS, by=HUGE)
    assert desk.threads == [threading.current_thread()]
    assert known.most_at_once < len(MANY_ITEMS)


async def test_small_bodies_are_rendered_ahead_where_the_rendering_is_known(desk):
    one, failing, big, plain = (
        claimed("evt_1"), claimed("evt_2", b"["), claimed("evt_3", LARGE), claimed("evt_4", b"{}", None)
    )  # fmt: skip
    desk.renderer.prepare([one])
    assert not desk.rendered
    await desk.render("evt_0")
    desk.rendered.clear()
    desk.renderer.prepare([one, failing, big, plain])
    assert desk.rendered == {SMALL: 1, b"[": 1}
    assert desk.renderer.at_once(one) == Rendered(b'{"b":1}')
    with pytest.raises(RenderingFailed):
        desk.renderer.at_once(failing)
    assert desk.rendered == {SMALL: 1, b"[": 1}


async def test_rendering_ahead_takes_a_short_time_only(desk, monkeypatch):
    await desk.render("evt_0")
    monkeypatch.setattr(rendering, "_SECONDS_AHEAD", -1)
    desk.renderer.prepare([claimed(f"evt_{number}") for number in range(1, 9)])
    assert desk.rendered == {SMALL: 2}


async def test_renderings_are_read_once_and_together(desk):
    await asyncio.gather(desk.render("evt_1"), desk.render("evt_2"), desk.render("evt_3", by=HUGE))
    await desk.render("evt_4")
    assert desk.shelf.asked == [sorted([RENAMED.id, HUGE.id])]


@pytest.mark.parametrize("body", [MANY_ITEMS, b'{"items":['], ids=["in a thread", "at once"])
async def test_a_failed_rendering_gives_all_endpoints_its_reason_and_is_tried_once(desk, body):
    for _ in range(2):
        failures = await asyncio.gather(*(desk.render(body=body, by=HUGE) for _ in range(2)), return_exceptions=True)
        assert all(isinstance(one, RenderingFailed) for one in failures)
        assert all(one.reason.startswith("the payload mapping failed: ") for one in failures)
    assert desk.rendered == {body: 1}


async def test_a_rendering_that_the_store_does_not_know_is_a_store_error_and_is_asked_for_again(desk, caplog):
    other = Rendering(PayloadMapping(remove=["a"]))
    with pytest.raises(StoreError):
        await desk.render(by=other)
    assert other.id in caplog.text
    desk.shelf.held[other.id] = other
    assert (await desk.render(by=other)).body == b"{}"


async def test_an_error_of_the_store_reaches_all_waiters(desk):
    desk.shelf.error = StoreError("the disk is full")
    found = await asyncio.gather(desk.render("evt_1"), desk.render("evt_2"), return_exceptions=True)
    assert [str(one) for one in found] == ["the disk is full"] * 2
    desk.shelf.error = None
    assert await desk.render()


async def test_large_bodies_of_one_tenant_leave_a_thread_to_others(desk):
    gates = [desk.hold(large(number)) for number in range(3)]
    busy = [asyncio.create_task(desk.render(f"evt_{number}", body=large(number))) for number in range(3)]
    await await_for(lambda: desk.rendered)
    assert await desk.render("evt_9", body=large(9), tenant="quiet")
    assert len(desk.rendered) == 2
    for gate in gates:
        gate.set()
    await asyncio.gather(*busy)


async def test_tenants_take_threads_in_turns(desk):
    order = []

    async def render(tenant, number):
        await desk.render(f"evt_{number}", body=large(number), tenant=tenant)
        order.append(tenant)

    gates = [desk.hold(large(1)), desk.hold(large(2))]
    blocking = [asyncio.create_task(render(f"blocker {number}", number)) for number in (1, 2)]
    await await_for(lambda: len(desk.rendered) == 2)
    waiting = [asyncio.create_task(render("busy", number)) for number in range(10, 15)]
    await asyncio.sleep(0)
    waiting += [asyncio.create_task(render("quiet", number)) for number in (20, 21)]
    await asyncio.sleep(0)
    gates[0].set()
    await asyncio.gather(*waiting)
    assert order[1:] == ["busy", "quiet", "busy", "quiet", "busy", "busy", "busy"]
    gates[1].set()
    await asyncio.gather(*blocking)


async def test_a_cancelled_waiter_does_not_end_it_for_others(desk):
    gate = desk.hold(LARGE)
    first, second = (asyncio.create_task(desk.render(body=LARGE)) for _ in range(2))
    await await_for(lambda: desk.rendered)
    first.cancel()
    gate.set()
    assert (await second).body
    assert desk.rendered == {LARGE: 1}


async def test_bodies_are_kept_up_to_some_bytes(desk, monkeypatch):
    desk.renderer._bodies.most = 3 * len(LARGE)
    for number in range(5):
        await desk.render(f"evt_{number}", body=LARGE)
    assert len(desk.renderer._bodies._kept) == 2
    await desk.render("evt_4", body=LARGE)
    assert desk.rendered[LARGE] == 5
    await desk.render("evt_0", body=LARGE)
    assert desk.rendered[LARGE] == 6


async def test_bodies_can_be_forgotten(desk):
    await desk.render()
    desk.renderer.forget_bodies()
    await desk.render()
    assert desk.rendered[SMALL] == 2


async def test_renderings_are_kept_up_to_some_places(desk):
    desk.renderer._known.most = 10
    wide = [Rendering(PayloadMapping(remove=[f"a{one}", "b", "c", "d"])) for one in range(4)]
    desk.shelf.held = {one.id: one for one in wide}
    for number, one in enumerate(wide):
        await desk.render(f"evt_{number}", by=one)
    assert len(desk.renderer._known._kept) == 2
    # A body that is too large to be cached is used all the same.
    desk.renderer._known.most = 1
    assert await desk.render("evt_9", by=wide[0])
