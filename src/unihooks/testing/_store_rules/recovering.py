"""The rules that every store follows when missed deliveries are recovered."""

from __future__ import annotations

import json

from unihooks._base.times import SECOND
from unihooks._message.conditions import Condition
from unihooks._message.mapping import PayloadMapping
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import EventSubscription
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, TOO_LONG, URL, Scene, ids


class RecoveringRules:
    """The rules of `recover`."""

    def test_recovering_plans_events_emitted_while_inactive(self, scene: Scene) -> None:
        webhook = scene.inactive(URL, OTHER_URL, mapping=PayloadMapping(rename={"a": "b"}))
        event = scene.planned("paid", {"a": 1})
        scene.activate(webhook)
        assert scene.recover(webhook) == 2
        claimed = scene.claim()
        assert {one.endpoint_id for one in claimed} == set(ids(webhook.endpoints))
        assert {(one.event_id, scene.body(one)) for one in claimed} == {(event.id, b'{"b":1}')}
        assert {one.replay_of for one in scene.deliveries()} == {None}

    def test_recovering_twice_makes_nothing_more(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.planned()
        scene.activate(webhook)
        scene.fail(scene.claimed())
        assert [scene.recover(webhook) for _ in range(2)] == [2, 0]
        scene.deliver(*scene.claim())
        assert scene.recover(webhook) == 0

    def test_recovering_replays_deliveries_that_failed_last(self, scene: Scene) -> None:
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

    def test_recovering_repeats_deliveries_with_their_original_rendering(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        failed = scene.claimed(payload={"a": 1})
        scene.fail(failed)
        never = scene.build(OTHER_URL).endpoints[0]
        scene.revise(webhook, mapping=PayloadMapping(remove=["a"]), endpoints=[*webhook.endpoints, never])
        assert scene.recover(webhook) == 2
        claimed = {one.endpoint_id: scene.body(one) for one in scene.claim()}
        assert claimed == {failed.endpoint_id: b'{"b":1}', never.id: b"{}"}

    def test_recovering_replays_deliveries_that_were_held_too_long(self, scene: Scene) -> None:
        webhook = scene.active()
        held = scene.pending()
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        scene.expire(5 * DAY)
        scene.activate(webhook)
        assert scene.recover(webhook) == 1
        [claimed] = scene.claim()
        assert scene.delivery(claimed.id).replay_of == held.id

    def test_recovering_skips_pending_delivered_and_cancelled_deliveries(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.deliver(scene.claimed())
        scene.store.cancel(ACME, scene.pending().id, "by hand")
        scene.pending()
        assert scene.recover(webhook) == 0

    def test_recovering_repeats_failed_mappings_once_the_mapping_has_changed(self, scene: Scene) -> None:
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
        scene.planned("paid", tenant="other")
        scene.activate(webhook)
        start = scene.events()[-1].created_at
        since = scene.store.now() - 3 * SECOND
        assert scene.recover(webhook, since, since + 2 * SECOND) == 1
        assert scene.recover(webhook, since) == 1
        assert scene.recover(webhook) == 1
        assert len(scene.deliveries()) == 3
        assert start < scene.events()[0].created_at

    def test_recovering_plans_events_whose_conditions_hold(self, scene: Scene) -> None:
        some = EventSubscription("shop", "order.*", [Condition("n", "gt", 1), Condition("n", "lt", 4)])
        nine = EventSubscription("shop", "order.paid", [Condition("n", "eq", 9)])
        webhook = scene.inactive(subscriptions=[some, nine, EventSubscription("shop", "refunded")])
        kinds = [("order.paid", number) for number in (1, 2, 3, 4, 9)]
        kinds += [("order.sent", 9), ("order.sent", 2), ("order", 2), ("refunded", 0), ("refundedly", 0)]
        for event_type, number in kinds:
            scene.emit(event_type, {"n": number, "text": "x" * 10_000})
        scene.plan_all()
        scene.activate(webhook)
        assert scene.recover(webhook) == 5
        assert scene.recover(webhook) == 0
        found = sorted((one.event_type, json.loads(scene.rendered(one.id))["n"]) for one in scene.deliveries())
        assert found == [("order.paid", 2), ("order.paid", 3), ("order.paid", 9), ("order.sent", 2), ("refunded", 0)]

    def test_recovering_serves_enabled_endpoints_only(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.disable(webhook)
        scene.planned()
        assert scene.recover(webhook) == 0
        scene.enable(webhook)
        assert scene.recover(webhook) == 1
        assert {one.endpoint_id for one in scene.claim()} == set(ids(webhook.endpoints))

    def test_recovering_continues_in_batches(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.several(7)
        scene.activate(webhook)
        made, last = scene.store.recover(ACME, webhook.id, 0, 2**60, after="", limit=3, most=100)
        assert (made, last) == (3, scene.events()[4].id)
        assert scene.recover(webhook, limit=3) == 4
        assert len({one.event_id for one in scene.deliveries()}) == 7

    def test_recovering_makes_no_more_than_its_limit_even_within_an_event(self, scene: Scene) -> None:
        webhook = scene.inactive(URL, OTHER_URL, f"{URL}/3")
        scene.several(3)
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

    def test_a_delivery_recovered_before_its_event_was_planned_is_sent_once(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.emit()
        assert scene.recover(webhook) == 2
        assert list(scene.plan(capacity=10).claimed) == []
        one, two = scene.claim()
        scene.deliver(one)
        assert scene.recover(webhook) == 0
        scene.deliver(two)
        assert (scene.claim(), len(scene.deliveries())) == ([], 2)

    def test_a_delivery_recovered_and_ended_before_its_event_was_planned_is_not_planned_again(
        self, scene: Scene
    ) -> None:
        webhook = scene.active()
        scene.emit()
        scene.recover(webhook)
        scene.deliver(*scene.claim())
        planned = scene.plan(capacity=10)
        assert (planned.events, planned.deliveries, list(planned.claimed)) == (1, 0, [])
        assert [one.state for one in scene.deliveries()] == [DeliveryState.DELIVERED]

    def test_a_delivery_recovered_days_later_counts_as_made_a_day_after_its_event(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.planned()
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
