from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from unihooks import BulkResult, DeliveryState, EventSubscription, PayloadMapping
from unihooks._contract.filters import DeliveryFilter, DeliveryFilters
from unihooks.exceptions import Conflict, InvalidArgument, NotFound
from unihooks.testing import Answer

# Listings.


def test_events_are_listed_newest_first_with_payloads(host):
    events = [host.emit({"number": number}) for number in range(3)]
    assert list(host.dispatcher.log.events()) == events[::-1]
    assert host.dispatcher.log.event(events[1].id) == events[1]


def test_events_are_narrowed(host):
    log = host.dispatcher.log
    start = host.clock.now
    first = host.dispatcher.emit("chat", "a", 1)
    host.clock.advance(60)
    second = host.dispatcher.emit("mail", "b", 2)
    later = host.clock.now

    assert list(log.events(product="chat")) == [first]
    assert list(log.events(event_type="b")) == [second]
    assert list(log.events(since=later)) == [second]
    assert list(log.events(until=later)) == [first]
    assert list(log.events(since=start, until=later + timedelta(seconds=1))) == [second, first]


def test_deliveries_are_narrowed_by_every_filter(host):
    first = host.webhook("/a", "/b")
    second = host.webhook("/c", subscriptions=[EventSubscription("mail", "x")])
    host.receiver.on("/b").answer(500)
    event = host.emit()
    host.dispatcher.drain()
    host.clock.advance(10)
    mail = host.dispatcher.emit("mail", "x", 1)
    host.dispatcher.drain()
    host.dispatcher.webhooks.deactivate(first.id)

    def ids(**filters):
        return {delivery.endpoint_id for delivery in host.deliveries(**filters)}

    a, b, c = (endpoint.id for endpoint in (*first.endpoints, *second.endpoints))
    assert ids() == {a, b, c}
    assert ids(webhook_id=first.id) == {a, b}
    assert ids(endpoint_id=b) == {b}
    assert ids(event_id=event.id) == {a, b}
    assert ids(product="mail") == ids(event_type="x") == ids(event_id=mail.id) == {c}
    assert ids(state="pending") == ids(state=DeliveryState.PENDING) == ids(held=True) == {b}
    assert ids(held=False) == {a, c}
    assert ids(since=host.clock.now) == {c}
    assert ids(until=host.clock.now) == {a, b}
    assert ids(webhook_id=first.id, state="delivered") == {a}
    assert ids(webhook_id=second.id, state="failed") == set()


def test_a_delivery_shows_where_it_stands(host):
    webhook = host.webhook()
    host.receiver.answer(500)
    event = host.emit()
    host.dispatcher.drain()

    delivery = host.only()
    assert host.dispatcher.log.delivery(delivery.id) == delivery
    assert delivery.event_id == event.id
    assert (delivery.webhook_id, delivery.endpoint_id) == (webhook.id, webhook.endpoints[0].id)
    assert (delivery.product, delivery.event_type, delivery.url) == (
        "chat",
        "message.received",
        webhook.endpoints[0].url,
    )
    assert (delivery.state, delivery.held, delivery.attempt_count) == (DeliveryState.PENDING, False, 1)
    assert delivery.created_at == host.clock.now
    assert delivery.next_attempt_at == host.clock.now + timedelta(seconds=60)
    assert delivery.replay_of is None


def test_attempts_show_request_and_response_newest_first(host):
    webhook = host.webhook(headers={"Authorization": "Bearer s3cr3t"})
    host.receiver.answer(Answer(503, headers={"X-Reason": "busy"}, body=b"\xffbusy"))
    event = host.emit()
    host.dispatcher.drain()
    host.clock.advance(60)
    host.dispatcher.drain()

    second, first = host.dispatcher.log.attempts(host.only().id)
    assert (first.number, first.status_code, first.error, first.response_body) == (1, 503, None, b"\xffbusy")
    assert (second.number, second.status_code) == (2, 204)
    assert second.started_at == first.started_at + timedelta(seconds=60) == host.clock.now
    assert first.duration_ms > 0
    assert first.url == webhook.endpoints[0].url
    assert ("x-reason", "busy") in first.response_headers
    assert not first.succeeded
    assert second.succeeded

    sent = {name.lower(): value for name, value in first.request_headers}
    assert sent.pop("authorization") == "***"
    received = dict(host.received()[0].headers)
    assert received.pop("authorization") == "Bearer s3cr3t"
    assert sent == received
    assert sent["webhook-id"] == event.id


# Pages.


def all_items(listing, cursor=None, *, back=False, **options):
    items = []
    while True:
        page = listing(limit=3, cursor=cursor, **options)
        items = [*page, *items] if back else [*items, *page]
        cursor = page.previous if back else page.next
        if cursor is None:
            return items


def test_pages_go_both_ways_and_stay_right_while_events_arrive(host):
    log = host.dispatcher.log
    events = [host.emit(number) for number in range(10)][::-1]

    first = log.events(limit=4)
    assert (list(first), first.previous) == (events[:4], None)
    newer = [host.emit("between") for _ in range(3)][::-1]
    second = log.events(limit=4, cursor=first.next)
    assert list(second) == events[4:8]
    third = log.events(limit=4, cursor=second.next)
    assert (list(third), third.next) == (events[8:], None)

    back = log.events(limit=4, cursor=third.previous)
    assert list(back) == events[4:8]
    start = log.events(limit=4, cursor=back.previous)
    assert list(start) == events[:4]
    before = log.events(limit=4, cursor=start.previous)
    assert (list(before), before.previous) == (newer, None)
    assert list(log.events(limit=4, cursor=before.next)) == events[:4]


def test_every_listing_gives_each_item_once_in_both_directions(host):
    for number in range(4):
        host.webhook(f"/{number}a", f"/{number}b")
    host.receiver.always(500)
    host.emit()
    host.dispatcher.drain()
    for _ in range(2):
        host.clock.advance(600)
        host.dispatcher.drain()
    delivery = host.deliveries()[0]
    listings = [
        (host.dispatcher.webhooks.list, {}, 4),
        (host.dispatcher.log.deliveries, {}, 8),
        (lambda **window: host.dispatcher.log.attempts(delivery.id, **window), {}, 3),
    ]
    for listing, options, count in listings:
        items = all_items(listing, **options)
        assert len({item.id for item in items}) == len(items) == count
        whole = listing(limit=1)
        last = whole
        while last.next is not None:
            last = listing(limit=1, cursor=last.next)
        assert [*all_items(listing, last.previous, back=True), *last] == items


def test_a_page_has_at_most_250_items(host):
    host.dispatcher.emit_many([("chat", "x", number) for number in range(260)])
    assert len(host.dispatcher.log.events()) == 50
    assert len(host.dispatcher.log.events(limit=250)) == 250
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.log.events(limit=251)
    assert refused.value.name == "limit"


@pytest.mark.parametrize(
    "bad",
    [
        {"state": "done"},
        {"held": "yes"},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
        {"until": "yesterday"},
        {"webhook_id": "\ud800"},
        {"event_type": 5},
        {"limit": 1.5},
        {"cursor": "nonsense"},
        {"cursor": 5},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_name(host, bad):
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.log.deliveries(**bad)
    assert refused.value.name in bad


def test_a_cursor_of_another_listing_is_refused_for_attempts(host):
    host.webhook()
    for _ in range(2):
        host.emit()
    host.dispatcher.drain()
    cursor = host.dispatcher.log.deliveries(limit=1).next
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.log.attempts(host.deliveries()[0].id, cursor=cursor)
    assert refused.value.name == "cursor"


# Replays.


def test_a_replay_is_a_new_delivery_of_the_same_bytes_under_the_same_webhook_id(host):
    webhook = host.webhook(mapping=PayloadMapping(rename={"text": "body"}))
    event = host.emit()
    host.dispatcher.drain()
    original = host.only()
    host.dispatcher.webhooks.update(webhook.id, mapping=PayloadMapping())
    host.clock.advance(10)

    replay = host.dispatcher.log.replay(original.id)
    assert (replay.replay_of, replay.event_id, replay.state) == (original.id, event.id, DeliveryState.PENDING)
    assert replay.attempt_count == 0
    host.dispatcher.drain()

    first, second = host.received()
    assert second.body == first.body == b'{"body":"hi"}'
    assert second.headers["webhook-id"] == first.headers["webhook-id"] == event.id
    assert host.dispatcher.log.delivery(original.id) == original
    assert host.dispatcher.log.delivery(replay.id).state is DeliveryState.DELIVERED


def test_a_replay_of_an_unmapped_delivery_sends_the_events_own_bytes(host):
    host.webhook()
    host.emit({"b": 1, "a": 2.50})
    host.dispatcher.drain()
    host.dispatcher.log.replay(host.only().id)
    host.dispatcher.drain()
    first, second = host.received()
    assert second.body == first.body


def test_a_replay_for_an_endpoint_that_is_gone_is_a_conflict(host):
    webhook = host.webhook("/a", "/b")
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.update(webhook.id, endpoints=[host.receiver.url_for("/b")])
    with pytest.raises(Conflict):
        host.dispatcher.log.replay(host.only(endpoint_id=webhook.endpoints[0].id).id)
    host.dispatcher.webhooks.delete(webhook.id)
    with pytest.raises(Conflict):
        host.dispatcher.log.replay(host.only(endpoint_id=webhook.endpoints[1].id).id)


def test_a_replay_for_an_inactive_webhook_is_held(host):
    webhook = host.webhook()
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.deactivate(webhook.id)
    assert host.dispatcher.log.replay(host.only().id).held
    assert host.dispatcher.drain().attempted == 0
    host.dispatcher.webhooks.activate(webhook.id)
    assert host.dispatcher.drain().delivered == 1


# Cancelling.


def test_a_cancelled_delivery_is_not_attempted_again(host):
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()

    cancelled = host.dispatcher.log.cancel(host.only().id)
    assert (cancelled.state, cancelled.reason) == (DeliveryState.CANCELLED, "cancelled by hand")
    host.clock.advance(3600)
    assert host.dispatcher.drain().attempted == 0


def test_only_pending_deliveries_can_be_cancelled(host):
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    with pytest.raises(Conflict):
        host.dispatcher.log.cancel(host.only().id)


def test_a_cancelled_delivery_stays_so_and_the_log_keeps_the_request_that_was_under_way(host):
    host.webhook()
    host.receiver.answer(Answer(204, delay=0.2))
    host.emit()
    with host.dispatcher.running():
        host.receiver.wait_for(1)
        host.dispatcher.log.cancel(host.only().id)
    delivery = host.only()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.CANCELLED, 1)
    assert host.dispatcher.log.attempts(delivery.id)[0].status_code == 204


# Recovering.


def test_recover_plans_missed_and_failed_events_and_nothing_twice(host):
    webhook = host.webhook(active=False)
    start = host.clock.now
    host.emit("missed")
    host.dispatcher.webhooks.activate(webhook.id)
    host.receiver.answer(204, 500, 500, 500)
    host.emit("delivered")
    host.dispatcher.drain()
    host.emit("failed")
    for _ in range(3):
        host.dispatcher.drain()
        host.clock.advance(600)
    host.receiver.clear()

    assert host.dispatcher.log.recover(webhook.id, since=start).made == 2
    assert host.dispatcher.log.recover(webhook.id, since=start).made == 0
    assert host.dispatcher.drain().delivered == 2
    assert sorted(request.json() for request in host.received()) == ["failed", "missed"]
    assert host.dispatcher.log.recover(webhook.id, since=start).made == 0


def test_recover_keeps_to_its_window(host):
    webhook = host.webhook(active=False)
    moments = []
    for name in ("early", "wanted", "late"):
        moments.append(host.clock.now)
        host.emit(name)
        host.clock.advance(60)
    host.dispatcher.drain()
    host.dispatcher.webhooks.activate(webhook.id)

    assert host.dispatcher.log.recover(webhook.id, since=moments[1], until=moments[2]).made == 1
    host.dispatcher.drain()
    assert [request.json() for request in host.received()] == ["wanted"]


def test_recover_goes_through_more_than_one_batch(host):
    webhook = host.webhook(active=False)
    host.dispatcher.emit_many([("chat", "x", number) for number in range(450)])
    host.dispatcher.drain()
    host.dispatcher.webhooks.activate(webhook.id)
    assert host.dispatcher.log.recover(webhook.id, since=host.clock.now).made == 450


def test_recover_makes_up_to_a_number_and_says_whether_there_is_more(host):
    webhook = host.webhook("/a", "/b", active=False)
    start = host.clock.now
    host.dispatcher.emit_many([("chat", "x", number) for number in range(5)])
    host.dispatcher.drain()
    host.dispatcher.webhooks.activate(webhook.id)
    log = host.dispatcher.log
    assert log.recover(webhook.id, since=start, most=3) == BulkResult(made=3, more=True)
    assert log.recover(webhook.id, since=start, most=7) == BulkResult(made=7, more=False)
    assert log.recover(webhook.id, since=start, most=1) == BulkResult(made=0, more=False)
    assert len({(one.event_id, one.endpoint_id) for one in host.deliveries()}) == 10


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "5", 1_000_001])
def test_recover_refuses_a_number_that_makes_no_sense(host, most):
    webhook = host.webhook()
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.log.recover(webhook.id, since=host.clock.now, most=most)
    assert refused.value.name == "most"


def test_recover_plans_events_that_a_disabled_endpoint_missed(host):
    webhook = host.webhook("/gone", "/fine")
    host.receiver.on("/gone").answer(410)
    host.emit("failed")
    host.dispatcher.drain()
    host.clock.advance(1)
    host.emit("missed")
    host.dispatcher.drain()
    since = host.clock.now - timedelta(seconds=1)
    assert host.dispatcher.log.recover(webhook.id, since=since).made == 0

    host.dispatcher.webhooks.enable_endpoint(webhook.id, webhook.endpoints[0].id)
    assert host.dispatcher.log.recover(webhook.id, since=since).made == 2
    host.dispatcher.drain()
    assert sorted(request.json() for request in host.received("/gone")[1:]) == ["failed", "missed"]
    assert len(host.received("/fine")) == 2


def test_recover_needs_an_aware_start(host):
    webhook = host.webhook()
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.log.recover(webhook.id, since=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    assert refused.value.name == "since"


# Every verb.


VERBS = {
    "event": lambda log, one, **there: log.event(one.event_id, **there),
    "delivery": lambda log, one, **there: log.delivery(one.id, **there),
    "attempts": lambda log, one, **there: log.attempts(one.id, **there),
    "replay": lambda log, one, **there: log.replay(one.id, **there),
    "cancel": lambda log, one, **there: log.cancel(one.id, **there),
    "recover": lambda log, one, **there: log.recover(one.webhook_id, since=one.created_at, **there),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_another_tenants_log_is_not_found(host, verb):
    host.webhook(tenant="acme")
    host.receiver.answer(500)
    host.emit(tenant="acme")
    host.dispatcher.drain()
    delivery = host.only(tenant="acme")

    for tenant in ("globex", "default"):
        with pytest.raises(NotFound):
            verb(host.dispatcher.log, delivery, tenant=tenant)
        assert not host.dispatcher.log.events(tenant=tenant)
        assert not host.dispatcher.log.deliveries(tenant=tenant)
    with pytest.raises(InvalidArgument):
        verb(host.dispatcher.log, delivery, tenant="")
    assert host.only(tenant="acme") == delivery


@pytest.mark.parametrize("bad", ["", "dlv_unknown", "\ud800", "a\0b", None])
@pytest.mark.parametrize("name", ["event", "delivery", "attempts", "replay", "cancel"])
def test_an_unknown_id_is_not_found(host, name, bad):
    with pytest.raises(NotFound) as refused:
        getattr(host.dispatcher.log, name)(bad)
    assert refused.value.name in {"event_id", "delivery_id"}


async def test_every_verb_has_an_awaitable_twin(host):
    log = host.dispatcher.log
    webhook = host.webhook()
    host.receiver.answer(500)
    event = host.emit()
    await host.dispatcher.adrain()

    assert list(await log.aevents()) == [event] == [await log.aevent(event.id)]
    (delivery,) = await log.adeliveries()
    assert await log.adelivery(delivery.id) == delivery
    assert len(await log.aattempts(delivery.id)) == 1
    assert (await log.areplay(delivery.id)).replay_of == delivery.id
    assert (await log.acancel(delivery.id)).state is DeliveryState.CANCELLED
    assert (await log.arecover(webhook.id, since=event.created_at)).made == 0


def test_hosts_can_filter_by_all_that_stores_filter_by():
    given, kept = DeliveryFilters.__annotations__, {one.name for one in attrs.fields(DeliveryFilter)}
    assert set(given) == kept - {"delivery_id"}
