"""The recording dispatcher of the testing kit."""

from __future__ import annotations

import pytest

from unihooks import Dispatcher, Emission
from unihooks._model.catalog import Catalog
from unihooks.abc import Emitter
from unihooks.exceptions import (
    IdempotencyConflict,
    InvalidArgument,
    InvalidPayload,
    UnknownEventType,
    VerificationError,
)
from unihooks.stores import MemoryStore
from unihooks.testing import FakeClock, RecordingDispatcher


@pytest.fixture
def recorder():
    return RecordingDispatcher()


def test_event_is_recorded_as_emitted():
    clock = FakeClock()
    recorder = RecordingDispatcher(clock=clock)
    event = recorder.emit("shop", "order.paid", {"n": 1}, tenant="acme")
    assert recorder.events == [event]
    assert (event.tenant, event.product, event.event_type, event.payload) == ("acme", "shop", "order.paid", {"n": 1})
    assert event.created_at == clock()
    assert event.id.startswith("evt_")
    assert len(event.id) == 30


async def test_aemit_records_as_emit_does(recorder):
    event = await recorder.aemit("shop", "order.paid", None, connection=object(), idempotency_key="k")
    assert recorder.events == [event]
    assert event.tenant == "default"


def test_later_changes_of_the_payload_are_not_recorded(recorder):
    payload = {"items": [1]}
    recorder.emit("shop", "order.paid", payload)
    payload["items"].append(2)
    assert recorder.events[0].payload == {"items": [1]}


def test_events_are_found_by_type_and_tenant(recorder):
    paid = recorder.emit("shop", "order.paid", 1, tenant="a")
    recorder.emit("shop", "order.sent", 2, tenant="a")
    other = recorder.emit("shop", "order.paid", 3, tenant="b")
    assert recorder.of("shop", "order.paid") == [paid, other]
    assert recorder.of("shop", "order.paid", tenant="b") == [other]


@pytest.mark.parametrize("payload", [float("nan"), {1: 2}, b"bytes"])
def test_payload_that_is_not_json_is_refused(recorder, payload):
    with pytest.raises(InvalidPayload):
        recorder.emit("shop", "order.paid", payload)
    assert recorder.events == []


@pytest.mark.parametrize("product, event_type", [("a b", "c"), ("a", "ü")])
def test_malformed_names_are_refused(recorder, product, event_type):
    with pytest.raises(UnknownEventType):
        recorder.emit(product, event_type, {})


def test_bad_tenant_is_refused(recorder):
    with pytest.raises(InvalidArgument):
        recorder.emit("shop", "order.paid", {}, tenant="")


def test_catalog_decides_what_is_known():
    catalog = Catalog()
    catalog.add_product("shop").add_event("order.paid")
    recorder = RecordingDispatcher(catalog=catalog)
    recorder.emit("shop", "order.paid", {})
    with pytest.raises(UnknownEventType):
        recorder.emit("shop", "order.sent", {})


def test_repeated_key_gives_the_first_event(recorder):
    first = recorder.emit("shop", "order.paid", {"n": 1, "m": 2}, idempotency_key="k")
    assert recorder.emit("shop", "order.paid", {"m": 2, "n": 1}, idempotency_key="k") is first
    assert recorder.events == [first]


def test_same_key_of_another_tenant_is_another_event(recorder):
    for tenant in "ab":
        recorder.emit("shop", "order.paid", {}, tenant=tenant, idempotency_key="k")
    assert len(recorder.events) == 2


def test_repeated_key_with_other_content_is_a_conflict(recorder):
    recorder.emit("shop", "order.paid", {"n": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict) as caught:
        recorder.emit("shop", "order.paid", {"n": 2}, idempotency_key="k")
    assert caught.value.name == "idempotency_key"


def test_clear_forgets_events_and_keys(recorder):
    recorder.emit("shop", "order.paid", {"n": 1}, idempotency_key="k")
    recorder.clear()
    recorder.emit("shop", "order.paid", {"n": 2}, idempotency_key="k")
    assert len(recorder.events) == 1


@pytest.fixture(params=["recording", "real"])
def emitter(request):
    """Yield an emitter of each kind; both must behave the same."""
    if request.param == "recording":
        yield RecordingDispatcher()
    else:
        with Dispatcher(MemoryStore()) as dispatcher:
            yield dispatcher


def payloads(emitter):
    events = emitter.events if isinstance(emitter, RecordingDispatcher) else reversed(emitter.log.events())
    return [event.payload for event in events]


async def test_many_are_emitted_as_a_dispatcher_does_it(emitter):
    keyed = Emission("shop", "order.paid", 3, idempotency_key="k")
    events = emitter.emit_many([("shop", "order.paid", 1), ["shop", "order.sent", 2], keyed, keyed])
    assert [event.payload for event in events] == [1, 2, 3, 3]
    assert events[2].id == events[3].id
    assert (await emitter.aemit_many(iter([keyed])))[0].id == events[2].id
    assert emitter.emit("shop", "order.paid", 3, idempotency_key="k").id == events[2].id
    assert emitter.emit_many([]) == []
    assert sorted(payloads(emitter)) == [1, 2, 3]
    emitter.wake()


@pytest.mark.parametrize(
    "events, error",
    [
        ("shop", InvalidPayload),
        (None, InvalidPayload),
        ([("shop", "order.paid")], InvalidPayload),
        ([("shop", "order.paid", 1), ("shop", "a b", 1)], UnknownEventType),
        ([("shop", "order.paid", 1), Emission("shop", "order.paid", b"")], InvalidPayload),
        ([("shop", "order.paid", 1), Emission("shop", "order.paid", 1, idempotency_key="")], InvalidPayload),
        ([("shop", "order.paid", 1), Emission("shop", "order.paid", 1, idempotency_key="used")], IdempotencyConflict),
    ],
)
def test_of_many_one_that_is_refused_leaves_none(emitter, events, error):
    emitter.emit("shop", "order.paid", 0, idempotency_key="used")
    with pytest.raises(error):
        emitter.emit_many(events)
    assert payloads(emitter) == [0]


def test_both_are_emitters(emitter):
    assert isinstance(emitter, Emitter)


def test_many_are_recorded_whatever_the_connection(recorder):
    recorder.emit_many([("shop", "order.paid", 1)], tenant="acme", connection=object())
    assert [event.tenant for event in recorder.events] == ["acme"]


def test_signatures_of_a_clock_of_the_test_can_be_verified(host, clock):
    webhook = host.webhook()
    host.emit()
    clock.advance(86_400 * 1_000)
    host.dispatcher.drain()
    (request,) = host.received()
    secret = webhook.secrets[0].reveal()
    assert request.verify(secret, now=clock.now).id
    with pytest.raises(VerificationError):
        request.verify(secret, now=clock.advance(301))
