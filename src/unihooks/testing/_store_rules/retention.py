"""The rules that every store follows when it cancels what was held too long and removes what is old."""

from __future__ import annotations

import pytest

from unihooks._message.mapping import PayloadMapping
from unihooks._message.rendering import Rendering
from unihooks._model.log import DeliveryState
from unihooks.abc import HELD_TOO_LONG, Claimed, DeliveryFilter, EventFilter, Window
from unihooks.exceptions import NotFound
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, URL, Scene, ids


class RetentionRules:
    """The rules of `expire_held` and `prune`."""

    # Held too long.

    def test_deliveries_held_for_5_days_are_cancelled(self, scene: Scene) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        scene.deactivate(webhook)
        scene.clock.advance(5 * DAY - 1)
        assert scene.expire(5 * DAY) == 0
        scene.clock.advance(2)
        assert scene.expire(5 * DAY) == 1
        cancelled = scene.delivery(delivery.id)
        assert (cancelled.state, cancelled.reason) == (DeliveryState.CANCELLED, HELD_TOO_LONG)
        assert (cancelled.held, cancelled.next_attempt_at) == (False, None)
        scene.activate(webhook)
        assert scene.claim() == []

    def test_deliveries_held_by_a_disabled_endpoint_for_5_days_are_cancelled(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        scene.disable(webhook)
        scene.clock.advance(6 * DAY)
        assert scene.expire(5 * DAY) == 1
        assert [one.endpoint_id for one in scene.claim()] == [webhook.endpoints[1].id]

    def test_deliveries_that_are_not_held_are_never_too_old(self, scene: Scene) -> None:
        scene.active()
        scene.pending()
        scene.clock.advance(60 * DAY)
        assert scene.expire(5 * DAY) == 0

    def test_time_held_starts_again_with_each_closing(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        for _ in range(2):
            scene.deactivate(webhook)
            scene.clock.advance(4 * DAY)
            assert scene.expire(5 * DAY) == 0
            scene.activate(webhook)

    def test_a_change_that_leaves_a_lane_closed_does_not_prolong_the_holding(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.deactivate(webhook)
        scene.clock.advance(4 * DAY)
        scene.revise(webhook, description="later")
        scene.disable(webhook)
        scene.clock.advance(2 * DAY)
        assert scene.expire(5 * DAY) == 1

    def test_a_delivery_made_while_the_lane_is_closed_is_held_for_5_days_too(self, scene: Scene) -> None:
        webhook = scene.active()
        first = scene.claimed()
        scene.deliver(first)
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        scene.store.replay(ACME, first.id)
        assert scene.expire(5 * DAY) == 0
        scene.clock.advance(6 * DAY)
        assert scene.expire(5 * DAY) == 1

    def test_no_more_held_deliveries_are_cancelled_than_asked_for(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.several(5)
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        assert [scene.expire(5 * DAY, limit=3) for _ in range(3)] == [3, 2, 0]

    # Retention.

    def test_old_events_that_stay_do_not_hide_those_behind_them(self, scene: Scene) -> None:
        webhook = scene.active()
        for seconds in (0, 0, 1):
            scene.clock.advance(seconds)
            scene.several(4)
        held = {one.event_id for one in scene.store.list_deliveries(ACME, DeliveryFilter(), Window(limit=20))}
        scene.deactivate(webhook)
        scene.several(5)
        scene.clock.advance(100)
        assert [scene.prune(50, limit=3) for _ in range(3)] == [3, 2, 0]
        assert {one.id for one in scene.store.list_events(ACME, EventFilter(), Window(limit=20))} == held

    def test_a_rendering_is_removed_once_no_webhook_and_no_event_needs_it(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        scene.clock.advance(10)
        claimed = scene.claimed(payload={"a": 1})
        assert claimed.rendering is not None
        scene.deliver(claimed)
        scene.clock.advance(10)
        assert scene.prune(1) == 1
        assert self._is_kept(scene, claimed)  # the webhook has it
        waiting = scene.claimed(payload={"a": 1})
        scene.revise(webhook, mapping=PayloadMapping())
        scene.clock.advance(10)
        assert scene.prune(1) == 0
        assert self._is_kept(scene, claimed)  # a delivery is pending with it
        scene.deliver(waiting)
        assert scene.prune(10) == 0
        assert self._is_kept(scene, claimed)  # it was given up too lately
        scene.clock.advance(1)
        assert scene.prune(10) == 1
        assert not self._is_kept(scene, claimed)

    def _is_kept(self, scene: Scene, claimed: Claimed) -> bool:
        return claimed.rendering in scene.store.renderings([claimed.rendering or ""])

    def test_old_events_go_with_all_that_belongs_to_them(self, scene: Scene) -> None:
        scene.active()
        old = scene.claimed(idempotency_key="k", digest=b"d")
        scene.deliver(old)
        replay = scene.store.replay(ACME, old.id)
        scene.deliver(*scene.claim())
        scene.clock.advance(1)
        kept = scene.planned()
        assert scene.prune(1) == 0
        scene.clock.advance(1)
        assert scene.prune(1) == 1
        assert ids(scene.events()) == [kept.id]
        assert {one.event_id for one in scene.deliveries()} == {kept.id}
        for delivery_id in (old.id, replay.id):
            with pytest.raises(NotFound):
                scene.attempts(delivery_id)
        assert scene.emit(idempotency_key="k", digest=b"other").id != old.event_id

    def test_an_event_with_a_pending_delivery_is_never_removed(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        one, two = scene.claim()
        scene.deliver(one)
        scene.deactivate(webhook)
        scene.clock.advance(100 * DAY)
        assert scene.prune(DAY) == 0
        scene.deliver(two)
        assert scene.prune(DAY) == 1

    def test_a_rendering_that_was_just_given_up_stays(self, scene: Scene) -> None:
        rendering = Rendering(PayloadMapping(remove=["a"]))
        webhook = scene.active(mapping=rendering.mapping)
        scene.clock.advance(10 * DAY)
        scene.claimed()
        scene.store.delete_webhook(ACME, webhook.id)
        scene.prune(DAY)
        assert set(scene.store.renderings([rendering.id])) == {rendering.id}

    def test_an_event_that_is_not_planned_is_never_removed(self, scene: Scene) -> None:
        scene.emit()
        scene.clock.advance(100 * DAY)
        assert scene.prune(DAY) == 0
        scene.plan()
        assert scene.prune(DAY) == 1

    def test_an_event_that_is_planned_in_part_is_never_removed(self, scene: Scene) -> None:
        for _ in range(6):
            scene.active(*[f"https://{n}.example.com/" for n in range(50)])
        scene.emit()
        assert scene.plan(1).more
        scene.deliver(*scene.claim(1_000))
        scene.clock.advance(DAY)
        assert scene.prune(1) == 0
        assert not scene.plan(1).more
        scene.deliver(*scene.claim(1_000))
        assert scene.prune(1) == 1
