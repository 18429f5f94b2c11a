from __future__ import annotations

import asyncio
import logging
import threading
from itertools import product

import httpx
import pytest

from unihooks import DeliveryState, EndpointState
from unihooks._delivery.hooks import Hooks
from unihooks.abc import Recorded
from unihooks.exceptions import StoreError


class Told:
    """A hook that remembers what it was called with."""

    def __init__(self):
        self.deliveries = []
        self.endpoints = []


@pytest.fixture
def told():
    return Told()


def test_on_delivery_is_called_for_deliveries_that_succeeded_or_failed_for_good(new_dispatcher, host, told):
    dispatcher = new_dispatcher(on_delivery=told.deliveries.append)
    host.webhook("/ok", "/retried", "/gone")
    host.receiver.on("/retried").always(500)
    host.receiver.on("/gone").always(410)
    host.emit()
    dispatcher.drain()
    assert sorted(delivery.state for delivery in told.deliveries) == [DeliveryState.DELIVERED, DeliveryState.FAILED]

    for _ in range(2):
        host.clock.advance(600)
        dispatcher.drain()
    last = told.deliveries[-1]
    assert (last.state, last.attempt_count) == (DeliveryState.FAILED, 3)
    assert last == host.only(endpoint_id=last.endpoint_id)


def test_a_hook_may_be_async(new_dispatcher, host, told):
    async def note(delivery):
        await asyncio.sleep(0)
        told.deliveries.append(delivery)

    dispatcher = new_dispatcher(on_delivery=note)
    host.webhook()
    host.emit()
    dispatcher.drain()
    assert told.deliveries == host.deliveries()


def test_a_hook_may_be_an_object_with_an_async_call_or_a_function_that_returns_an_awaitable(new_dispatcher, host, told):
    class Hook:
        async def __call__(self, delivery):
            told.deliveries.append(delivery)

    async def note(delivery):
        told.deliveries.append(delivery)

    def pass_on(delivery):
        return note(delivery)

    host.webhook()
    for hook in (Hook(), pass_on):
        dispatcher = new_dispatcher(on_delivery=hook)
        host.emit()
        dispatcher.drain()
    assert told.deliveries == host.deliveries()


def test_a_sync_hook_does_not_block_the_event_loop(new_dispatcher, host, told):
    def note(_delivery):
        told.deliveries.append(threading.current_thread().name)

    dispatcher = new_dispatcher(on_delivery=note)
    host.webhook()
    host.emit()
    dispatcher.drain()
    assert told.deliveries == ["unihooks-hooks"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_hook_that_raises_harms_nothing(new_dispatcher, host, caplog, kind):
    async def fail_async(_delivery):
        raise RuntimeError("a bug of the host's")

    def fail(_delivery):
        raise RuntimeError("a bug of the host's")

    dispatcher = new_dispatcher(on_delivery=fail_async if kind == "async" else fail)
    host.webhook()
    for _ in range(2):
        host.emit()
        assert dispatcher.drain().delivered == 1
    assert "a hook of the host raised" in caplog.text


def test_a_hook_may_use_the_dispatcher(new_dispatcher, host, told):
    def note(delivery):
        told.deliveries.append(dispatcher.log.event(delivery.event_id).payload)

    dispatcher = new_dispatcher(on_delivery=note)
    host.webhook()
    host.emit({"a": 1})
    dispatcher.drain()
    assert told.deliveries == [{"a": 1}]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_drain_plans_events_that_a_hook_emits(new_dispatcher, host, told, kind):
    def emit_next(delivery):
        told.deliveries.append(delivery)
        if len(told.deliveries) < 3:
            dispatcher.emit("chat", "message.received", {"n": len(told.deliveries)})

    async def emit_next_later(delivery):
        await asyncio.to_thread(emit_next, delivery)

    dispatcher = new_dispatcher(on_delivery=emit_next if kind == "sync" else emit_next_later)
    host.webhook()
    host.emit()
    assert dispatcher.drain().delivered == 3
    assert len(told.deliveries) == 3


def test_hooks_are_called_one_at_a_time(new_dispatcher, host, told):
    inside = threading.Lock()

    def note(delivery):
        assert inside.acquire(blocking=False)
        told.deliveries.append(delivery.id)
        inside.release()

    dispatcher = new_dispatcher(on_delivery=note)
    host.webhook("/a", "/b", "/c")
    dispatcher.emit_many([("chat", "x", number) for number in range(50)])
    dispatcher.drain(timeout=60)
    assert len(told.deliveries) == len(set(told.deliveries)) == 150


def test_on_endpoint_disabled_gets_the_endpoints_owner(new_dispatcher, host, told, caplog):
    dispatcher = new_dispatcher(on_endpoint_disabled=told.endpoints.append)
    webhook = host.webhook(tenant="acme")
    host.receiver.answer(410)
    host.emit(tenant="acme")
    dispatcher.drain()

    (endpoint,) = told.endpoints
    assert endpoint.id == webhook.endpoints[0].id
    assert (endpoint.tenant, endpoint.webhook_id) == ("acme", webhook.id)
    assert (endpoint.state, endpoint.disabled_reason) == (EndpointState.DISABLED, "the endpoint returned 410 Gone")
    assert "endpoint disabled: tenant=acme" in caplog.text


def test_a_final_failure_is_logged_as_a_warning(host, caplog):
    host.webhook()
    host.receiver.answer(410)
    event = host.emit()
    host.dispatcher.drain()
    (warning,) = [one for one in caplog.records if "failed for good" in one.message]
    assert (warning.levelno, warning.name) == (logging.WARNING, "unihooks.worker")
    assert event.id in warning.message
    assert "410" in warning.message


def test_a_hook_is_not_called_for_a_delivery_that_cannot_be_read(new_dispatcher, host, told, monkeypatch):
    def fail(*_):
        raise StoreError("the disk is gone")

    dispatcher = new_dispatcher(on_delivery=told.deliveries.append, on_endpoint_disabled=told.endpoints.append)
    host.webhook()
    host.receiver.answer(410)
    host.emit()
    store = type(dispatcher.settings.store)
    monkeypatch.setattr(store, "list_deliveries", fail)
    monkeypatch.setattr(store, "get_webhook", fail)
    dispatcher.drain()
    assert told.deliveries == told.endpoints == []


def test_a_hook_is_not_called_for_a_dropped_result(new_dispatcher, host, told):
    def cancel_first(_request):
        dispatcher.log.cancel(host.only().id)
        return httpx.Response(204)

    dispatcher = new_dispatcher(
        transport=httpx.MockTransport(cancel_first), targets=None, on_delivery=told.deliveries.append
    )
    host.webhook()
    host.emit()
    assert dispatcher.drain().delivered == 0
    assert told.deliveries == []


def test_a_hook_is_not_called_for_a_removed_endpoint(new_dispatcher, host, told, monkeypatch):
    dispatcher = new_dispatcher(on_endpoint_disabled=told.endpoints.append)
    webhook = host.webhook("/gone", "/other")
    host.receiver.on("/gone").answer(410)
    host.emit()
    recorded = Hooks.recorded

    def remove_first(self, results, done):
        if done.disabled:
            dispatcher.webhooks.update(webhook.id, endpoints=[host.receiver.url_for("/other")])
        recorded(self, results, done)

    monkeypatch.setattr(Hooks, "recorded", remove_first)
    dispatcher.drain()
    assert told.endpoints == []


async def test_a_hook_that_never_ends_is_given_up(new_dispatcher, caplog):
    never = asyncio.Event()

    async def hang(_delivery):
        await never.wait()

    dispatcher = new_dispatcher(on_endpoint_disabled=hang)
    webhook = dispatcher.webhooks.add(_webhook())
    hooks = Hooks(dispatcher.settings, lambda: None)
    hooks.recorded([], Recorded(accepted=[], disabled=[("default", webhook.id, webhook.endpoints[0].id)]))
    await hooks.finish(0.01)
    assert "did not end in time" in caplog.text


def _webhook():
    from unihooks import Webhook

    return Webhook(name="n", endpoints=["https://example.com/"])


@pytest.mark.parametrize(
    "kind, error",
    [
        *product(["sync", "async"], [StopIteration, SystemExit, asyncio.CancelledError]),
        # In the event loop's own thread the exception would belong to the user.
        ("sync", KeyboardInterrupt),
    ],
)
def test_whatever_a_hook_raises_neither_ends_the_worker_nor_the_hooks(new_dispatcher, host, told, error, kind):
    def note(delivery):
        told.deliveries.append(delivery)
        raise error

    async def anote(delivery):
        note(delivery)

    dispatcher = new_dispatcher(on_delivery=note if kind == "sync" else anote)
    host.webhook()
    for _ in range(2):
        host.emit()
        assert dispatcher.drain().delivered == 1
    host.emit()
    host.emit()
    dispatcher.drain()
    assert len(told.deliveries) == 4
