"""What every store keeps to about the past: recover what was missed, give up what is held, remove what is old."""

# ruff: noqa: S101, PLR2004 - a test's name is the rule, it asserts, and a literal is what is expected

from __future__ import annotations

import json

import pytest

from unihooks._base.times import SECOND
from unihooks._message.conditions import Condition
from unihooks._message.mapping import PayloadMapping
from unihooks._message.rendering import Rendering
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import EventSubscription
from unihooks.abc import HELD_TOO_LONG, Claimed, DeliveryFilter, EventFilter, Window
from unihooks.exceptions import NotFound
from unihooks.testing._store_scene import ACME, DAY, OTHER_URL, TOO_LONG, URL, Scene, ids


class HistoryRules:
    """The rules of `recover`, `expire_held` and `prune`."""

    def test_recovering_plans_what_was_emitted_while_inactive(self, scene: Scene) -> None:
        webhook = scene.inactive(URL, OTHER_URL, mapping=PayloadMapping(rename={"a": "b"}))
        event = scene.emit("paid", {"a": 1})
        scene.plan()
        scene.activate(webhook)
        assert scene.recover(webhook) == 2
        claimed = scene.claim()
        assert {one.endpoint_id for one in claimed} == set(ids(webhook.endpoints))
        assert {(one.event_id, scene.body(one)) for one in claimed} == {(event.id, b'{"b":1}')}
        assert {one.replay_of for one in scene.deliveries()} == {None}

    def test_recovering_twice_makes_nothing_more(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.emit()
        scene.plan()
        scene.activate(webhook)
        scene.fail(scene.claimed())
        assert [scene.recover(webhook) for _ in range(2)] == [2, 0]
        scene.deliver(*scene.claim())
        assert scene.recover(webhook) == 0

    def test_recovering_replays_what_failed_last(self, scene: Scene) -> None:
        webhook = scene.active()
        failed = scene.claimed()
        scene.fail(failed)
        assert scene.recover(webhook) == 1
        [replay] = scene.claim()
        assert scene.delivery(replay.id).replay_of == failed.id
        scene.fail(replay)
        assert scene.recover(webhook) == 1
        [second] = scene.claim()
        assert scene.delivery(second.id).replay_of == replay.id
        scene.deliver(second)
        assert scene.recover(webhook) == 0

    def test_recovering_repeats_what_was_sent_with_the_rendering_that_it_had(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        failed = scene.claimed(payload={"a": 1})
        scene.fail(failed)
        never = scene.build(OTHER_URL).endpoints[0]
        scene.revise(webhook, mapping=PayloadMapping(remove=["a"]), endpoints=[*webhook.endpoints, never])
        assert scene.recover(webhook) == 2
        claimed = {one.endpoint_id: scene.body(one) for one in scene.claim()}
        assert claimed == {failed.endpoint_id: b'{"b":1}', never.id: b"{}"}

    def test_recovering_replays_what_was_held_too_long(self, scene: Scene) -> None:
        webhook = scene.active()
        held = scene.pending()
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        scene.expire(5 * DAY)
        scene.activate(webhook)
        assert scene.recover(webhook) == 1
        [claimed] = scene.claim()
        assert scene.delivery(claimed.id).replay_of == held.id

    def test_recovering_leaves_alone_what_is_pending_delivered_or_cancelled_by_hand(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.deliver(scene.claimed())
        scene.store.cancel(ACME, scene.pending().id, "by hand")
        scene.pending()
        assert scene.recover(webhook) == 0

    def test_recovering_repeats_what_could_not_be_mapped_once_the_mapping_has_changed(self, scene: Scene) -> None:
        webhook = scene.active(mapping=TOO_LONG)
        failed = scene.unrendered()
        assert scene.recover(webhook) == 0
        scene.revise(webhook, mapping=PayloadMapping(remove=["items"]))
        assert scene.recover(webhook) == 1
        [claimed] = scene.claim()
        assert (claimed.event_id, scene.body(claimed)) == (failed.event_id, b"{}")

    def test_recovering_takes_the_events_of_its_time_and_subscriptions(self, scene: Scene) -> None:
        webhook = scene.inactive(subscriptions=[EventSubscription("shop", "paid")])
        for event_type in ("paid", "paid", "refunded", "paid"):
            scene.emit(event_type)
            scene.clock.advance(1)
        scene.emit("paid", tenant="other")
        scene.plan()
        scene.activate(webhook)
        start = scene.events()[-1].created_at
        since = scene.store.now() - 3 * SECOND
        assert scene.recover(webhook, since, since + 2 * SECOND) == 1
        assert scene.recover(webhook, since) == 1
        assert scene.recover(webhook) == 1
        assert len(scene.deliveries()) == 3
        assert start < scene.events()[0].created_at

    def test_recovering_takes_the_events_whose_conditions_hold(self, scene: Scene) -> None:
        some = EventSubscription("shop", "order.*", [Condition("n", "gt", 1), Condition("n", "lt", 4)])
        nine = EventSubscription("shop", "order.paid", [Condition("n", "eq", 9)])
        webhook = scene.inactive(subscriptions=[some, nine, EventSubscription("shop", "refunded")])
        kinds = [("order.paid", number) for number in (1, 2, 3, 4, 9)]
        kinds += [("order.sent", 9), ("order.sent", 2), ("order", 2), ("refunded", 0), ("refundedly", 0)]
        for event_type, number in kinds:
            scene.emit(event_type, {"n": number, "text": "x" * 10_000})
        while scene.plan().more:
            pass
        scene.activate(webhook)
        assert scene.recover(webhook) == 5
        assert scene.recover(webhook) == 0
        found = sorted((one.event_type, json.loads(scene.rendered(one.id))["n"]) for one in scene.deliveries())
        assert found == [("order.paid", 2), ("order.paid", 3), ("order.paid", 9), ("order.sent", 2), ("refunded", 0)]

    def test_recovering_serves_enabled_endpoints_only(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.disable(webhook)
        scene.emit()
        scene.plan()
        assert scene.recover(webhook) == 0
        scene.enable(webhook)
        assert scene.recover(webhook) == 1
        assert {one.endpoint_id for one in scene.claim()} == set(ids(webhook.endpoints))

    def test_recovering_goes_on_in_batches(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.submit(*[scene.event() for _ in range(7)])
        scene.plan()
        scene.activate(webhook)
        made, last = scene.store.recover(ACME, webhook.id, 0, 2**60, after="", limit=3, most=100)
        assert (made, last) == (3, scene.events()[4].id)
        assert scene.recover(webhook, limit=3) == 4
        assert len({one.event_id for one in scene.deliveries()}) == 7

    def test_recovering_makes_no_more_than_it_may_also_within_an_event(self, scene: Scene) -> None:
        webhook = scene.inactive(URL, OTHER_URL, f"{URL}/3")
        scene.submit(*[scene.event() for _ in range(3)])
        scene.plan()
        scene.activate(webhook)
        *_, first = ids(scene.events())

        def recover(after: str | None, most: int) -> tuple[int, str | None]:
            assert after is not None
            return scene.store.recover(ACME, webhook.id, 0, 2**60, after=after, limit=10, most=most)

        assert recover("", 0) == (0, "")
        assert recover("", 2) == (2, "")
        made, after = recover("", 2)
        assert (made, after) == (2, first)
        assert recover(after, 0) == (0, first)
        assert recover(after, 5) == (5, None)
        assert recover("", 0) == (0, None)
        assert len(scene.deliveries()) == 9

    def test_recovering_and_planning_make_one_delivery(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.emit()
        scene.recover(webhook)
        scene.plan()
        assert len(scene.deliveries()) == 1

    def test_what_was_recovered_before_its_event_was_planned_is_sent_once(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.emit()
        assert scene.recover(webhook) == 2
        assert list(scene.plan(capacity=10).claimed) == []
        one, two = scene.claim()
        scene.deliver(one)
        assert scene.recover(webhook) == 0
        scene.deliver(two)
        assert (scene.claim(), len(scene.deliveries())) == ([], 2)

    def test_what_was_recovered_and_ended_before_its_event_was_planned_is_not_planned_again(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.emit()
        scene.recover(webhook)
        scene.deliver(*scene.claim())
        planned = scene.plan(capacity=10)
        assert (planned.events, planned.deliveries, list(planned.claimed)) == (1, 0, [])
        assert [one.state for one in scene.deliveries()] == [DeliveryState.DELIVERED]

    def test_what_is_recovered_days_later_counts_as_made_a_day_after_its_event(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.emit()
        scene.plan()
        planned_at = scene.store.now()
        scene.clock.advance(9 * DAY)
        scene.activate(webhook)
        assert scene.recover(webhook) == 1
        [made] = scene.deliveries()
        assert made.created_at == scene.clock()
        day, second = DAY * SECOND, SECOND
        assert scene.deliveries(since=planned_at + day - second, until=planned_at + day + second) == [made]
        assert scene.deliveries(since=planned_at + day + second) == []
        assert scene.deliveries(until=planned_at + day - second) == []

    # Held too long.

    def test_what_was_held_for_5_days_is_cancelled(self, scene: Scene) -> None:
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

    def test_what_a_disabled_endpoint_held_for_5_days_is_cancelled(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.emit()
        scene.plan()
        scene.disable(webhook)
        scene.clock.advance(6 * DAY)
        assert scene.expire(5 * DAY) == 1
        assert [one.endpoint_id for one in scene.claim()] == [webhook.endpoints[1].id]

    def test_what_is_not_held_is_never_too_old(self, scene: Scene) -> None:
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
        scene.submit(*[scene.event() for _ in range(5)])
        scene.plan()
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        assert [scene.expire(5 * DAY, limit=3) for _ in range(3)] == [3, 2, 0]

    # Retention.

    def test_old_events_that_stay_do_not_hide_those_behind_them(self, scene: Scene) -> None:
        webhook = scene.active()
        for seconds in (0, 0, 1):
            scene.clock.advance(seconds)
            scene.submit(*[scene.event() for _ in range(4)])
            scene.plan()
        held = {one.event_id for one in scene.store.list_deliveries(ACME, DeliveryFilter(), Window(limit=20))}
        scene.deactivate(webhook)
        scene.submit(*[scene.event() for _ in range(5)])
        scene.plan()
        scene.clock.advance(100)
        assert [scene.prune(50, limit=3) for _ in range(3)] == [3, 2, 0]
        assert {one.id for one in scene.store.list_events(ACME, EventFilter(), Window(limit=20))} == held

    def test_a_rendering_goes_once_no_webhook_and_no_event_needs_it(self, scene: Scene) -> None:
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
        kept = scene.emit()
        scene.plan()
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
        scene.emit()
        scene.plan()
        one, two = scene.claim()
        scene.deliver(one)
        scene.deactivate(webhook)
        scene.clock.advance(100 * DAY)
        assert scene.prune(DAY) == 0
        scene.deliver(two)
        assert scene.prune(DAY) == 1

    def test_a_rendering_goes_once_no_webhook_has_it_and_no_event_of_its_time_is_left(self, scene: Scene) -> None:
        given_up, taken_up = (Rendering(PayloadMapping(remove=[path])) for path in ("a", "b"))
        webhook = scene.active(mapping=given_up.mapping)
        scene.clock.advance(10 * DAY)
        late = scene.claimed()
        scene.revise(webhook, mapping=taken_up.mapping)
        scene.clock.advance(2 * DAY)
        scene.prune(DAY)
        assert set(scene.store.renderings([given_up.id, taken_up.id])) == {given_up.id, taken_up.id}
        scene.deliver(late)
        scene.prune(DAY)
        assert set(scene.store.renderings([given_up.id, taken_up.id])) == {taken_up.id}

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

    def test_no_more_events_are_removed_than_asked_for(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.deactivate(webhook)
        scene.submit(*[scene.event() for _ in range(5)])
        scene.plan()
        scene.clock.advance(DAY)
        assert [scene.prune(1, limit=3) for _ in range(3)] == [3, 2, 0]
        assert len(scene.events()) == 1
