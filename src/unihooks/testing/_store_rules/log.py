"""The rules that every store follows when deliveries of its log are listed, replayed and cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unihooks._base.times import SECOND
from unihooks._message.mapping import PayloadMapping
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import EventSubscription
from unihooks.abc import Window
from unihooks.exceptions import Conflict
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, TOO_LONG, URL, Scene, ids


class LogRules:
    """The rules of the listings, of `replay` and of `cancel`."""

    @pytest.mark.parametrize("kind", ["events", "deliveries"])
    def test_listings_are_newest_first_within_a_window(self, scene: Scene, kind: str) -> None:
        scene.active()
        for _ in range(6):
            scene.pending()
            scene.clock.advance(1)
        listing: Callable[..., list[Any]] = getattr(scene, kind)
        newest_first = ids(listing())
        assert newest_first == sorted(newest_first, reverse=True)
        assert len(newest_first) == 6

        def listed(**edge: Any) -> list[str]:
            return ids(listing(window=Window(limit=2, **edge)))

        assert listed() == newest_first[:2]
        assert listed(older_than=newest_first[1]) == newest_first[2:4]
        assert listed(older_than=newest_first[5]) == []
        assert listed(newer_than=newest_first[4]) == newest_first[2:4]
        assert listed(newer_than=newest_first[1]) == newest_first[:1]
        assert listed(newer_than=newest_first[0]) == []

    def test_events_are_narrowed(self, scene: Scene) -> None:
        paid, refunded = scene.emit("paid"), scene.emit("refunded")
        scene.clock.advance(1)
        other = scene.emit("paid", product="stock")
        scene.emit("paid", tenant="other")
        at = scene.store.now()
        assert ids(scene.events(event_id=paid.id)) == [paid.id]
        assert scene.events(event_id="evt_none") == []
        assert ids(scene.events(product="shop")) == [refunded.id, paid.id]
        assert ids(scene.events(event_type="paid")) == [other.id, paid.id]
        assert ids(scene.events(product="shop", event_type="paid")) == [paid.id]
        assert ids(scene.events(since=at)) == [other.id]
        assert ids(scene.events(until=at)) == [refunded.id, paid.id]
        assert ids(scene.events(since=at - SECOND, until=at, event_type="paid")) == [paid.id]
        assert scene.events(since=at + 1) == []

    def test_deliveries_are_filtered_by_id_product_time_and_tenant(self, scene: Scene) -> None:
        scene.active(subscriptions=[EventSubscription("shop", "*"), EventSubscription("stock", "*")])
        first = scene.pending()
        scene.clock.advance(1)
        at = scene.store.now()
        second = scene.pending(product="stock")
        assert scene.deliveries(delivery_id=first.id) == scene.deliveries(product="shop") == [first]
        assert scene.deliveries(since=at) == scene.deliveries(product="stock") == [second]
        assert scene.deliveries(until=at) == scene.deliveries(until=at, product="shop") == [first]
        for none in ({"delivery_id": "dlv_none"}, {"product": "none"}, {"since": at, "until": at}):
            assert scene.deliveries(**none) == []
        assert scene.deliveries("other") == []

    # Replay.

    def test_a_replay_is_a_new_delivery_that_is_due_now(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.fail(claimed)
        original = scene.delivery(claimed.id)
        scene.clock.advance(5)
        replay = scene.store.replay(ACME, original.id)
        assert replay.id != original.id
        assert (replay.replay_of, replay.event_id) == (original.id, original.event_id)
        assert (replay.endpoint_id, replay.webhook_id) == (original.endpoint_id, original.webhook_id)
        assert (replay.state, replay.attempt_count) == (DeliveryState.PENDING, 0)
        assert replay.created_at == replay.next_attempt_at == scene.clock()
        assert scene.delivery(replay.id) == replay
        assert scene.delivery(original.id) == original
        assert len(scene.attempts(original.id)) == 1
        assert scene.attempts(replay.id) == []

    def test_a_replay_sends_the_stored_body_for_the_same_event(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        first = scene.claimed(payload={"a": 1})
        scene.deliver(first)
        scene.revise(webhook, mapping=PayloadMapping())
        replay = scene.store.replay(ACME, first.id)
        [claimed] = scene.claim()
        assert (claimed.id, claimed.event_id, scene.body(claimed)) == (replay.id, first.event_id, b'{"b":1}')

    def test_a_delivery_can_be_replayed_again_and_a_replay_too(self, scene: Scene) -> None:
        scene.active()
        first = scene.claimed(payload={"a": 1})
        scene.deliver(first)
        second = scene.store.replay(ACME, first.id)
        third = scene.store.replay(ACME, first.id)
        fourth = scene.store.replay(ACME, third.id)
        assert [one.replay_of for one in (second, third, fourth)] == [first.id, first.id, third.id]
        claimed = scene.claim()
        assert set(ids(claimed)) == {second.id, third.id, fourth.id}
        assert {one.body for one in claimed} == {b'{"a":1}'}

    def test_a_replay_goes_to_the_endpoints_current_url_and_waits_while_it_is_closed(self, scene: Scene) -> None:
        webhook = scene.active()
        first = scene.claimed()
        scene.deliver(first)
        scene.deactivate(webhook)
        replay = scene.store.replay(ACME, first.id)
        assert replay.held
        assert scene.claim() == []
        scene.activate(webhook)
        assert ids(scene.claim()) == [replay.id]

    @pytest.mark.parametrize("how", ["endpoint removed", "webhook deleted"])
    def test_a_replay_to_an_endpoint_that_is_gone_is_a_conflict(self, scene: Scene, how: str) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        [delivery] = scene.deliveries(endpoint_id=webhook.endpoints[0].id)
        if how == "endpoint removed":
            scene.revise(webhook, endpoints=webhook.endpoints[1:])
        else:
            scene.store.delete_webhook(ACME, webhook.id)
        with pytest.raises(Conflict, match="the endpoint of this delivery is gone"):
            scene.store.replay(ACME, delivery.id)
        assert len(scene.deliveries()) == 2

    def test_a_replay_of_a_delivery_that_was_never_mapped_is_a_conflict(self, scene: Scene) -> None:
        scene.active(mapping=TOO_LONG)
        with pytest.raises(Conflict, match="the payload mapping failed"):
            scene.store.replay(ACME, scene.unrendered().id)

    # Cancel.

    def test_a_cancelled_delivery_is_never_sent(self, scene: Scene) -> None:
        scene.active()
        delivery = scene.pending()
        cancelled = scene.store.cancel(ACME, delivery.id, "by hand")
        assert (cancelled.state, cancelled.reason) == (DeliveryState.CANCELLED, "by hand")
        assert (cancelled.next_attempt_at, cancelled.held) == (None, False)
        assert scene.delivery(delivery.id) == cancelled
        assert scene.claim() == []

    def test_a_result_after_the_cancellation_adds_only_its_attempt(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.store.cancel(ACME, claimed.id, "by hand")
        scene.store.release([claimed])
        assert list(scene.deliver(claimed).accepted) == []
        assert list(scene.deliver(claimed).accepted) == []
        cancelled = scene.delivery(claimed.id)
        assert (cancelled.state, cancelled.reason, cancelled.attempt_count) == (DeliveryState.CANCELLED, "by hand", 1)
        assert [one.status_code for one in scene.attempts(claimed.id)] == [200]
        assert scene.claim() == []

    def test_a_request_in_flight_to_a_removed_endpoint_is_kept_in_the_log(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        claimed = scene.claim()
        scene.revise(webhook, endpoints=webhook.endpoints[1:])
        scene.store.delete_webhook(ACME, webhook.id)
        assert list(scene.deliver(*claimed).accepted) == []
        assert {one.attempt_count for one in scene.deliveries(state=DeliveryState.CANCELLED)} == {1}
        assert all(len(scene.attempts(one.id)) == 1 for one in claimed)

    def test_a_held_delivery_can_be_cancelled(self, scene: Scene) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        scene.deactivate(webhook)
        assert not scene.store.cancel(ACME, delivery.id, "by hand").held
        scene.activate(webhook)
        assert scene.claim() == []

    def test_only_a_pending_delivery_can_be_cancelled(self, scene: Scene) -> None:
        scene.active()
        delivered, failed = scene.claimed(), scene.claimed()
        scene.deliver(delivered)
        scene.fail(failed)
        cancelled = scene.pending()
        scene.store.cancel(ACME, cancelled.id, "by hand")
        before = scene.deliveries()
        for one in before:
            with pytest.raises(Conflict, match=f"the delivery is {one.state}; only a pending one can be cancelled"):
                scene.store.cancel(ACME, one.id, "again")
        assert scene.deliveries() == before
