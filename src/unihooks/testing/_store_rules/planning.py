"""The rules that every store follows when it turns events into deliveries."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from attrs import evolve

from unihooks._base.times import from_us
from unihooks._message.conditions import Condition
from unihooks._message.mapping import PayloadMapping
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import EventSubscription, Webhook
from unihooks.abc import Capacity, Planned
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids


class PlanningRules:
    """The rules of `plan`."""

    def test_an_event_leads_to_one_delivery_per_endpoint(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        event = scene.emit("paid", {"amount": 7})
        planned = scene.plan()
        assert counts(planned) == (1, 2, 0)
        assert not planned.more
        deliveries = scene.deliveries()
        assert {(one.endpoint_id, one.url) for one in deliveries} == {(one.id, one.url) for one in webhook.endpoints}
        for one in deliveries:
            assert (one.tenant, one.event_id, one.webhook_id) == (ACME, event.id, webhook.id)
            assert (one.product, one.event_type, one.state) == ("shop", "paid", DeliveryState.PENDING)
            assert (one.held, one.attempt_count, one.reason, one.replay_of) == (False, 0, None, None)
            assert one.created_at == one.next_attempt_at == from_us(scene.store.now())

    def test_an_event_is_planned_once(self, scene: Scene) -> None:
        scene.active()
        scene.planned()
        assert counts(scene.plan()) == (0, 0, 0)
        assert len(scene.deliveries()) == 1
        assert not scene.store.work().new_events

    def test_an_event_without_subscribers_is_planned_too(self, scene: Scene) -> None:
        scene.emit()
        assert counts(scene.plan()) == (1, 0, 0)
        assert not scene.store.work().new_events

    def test_an_event_is_planned_once_by_racing_planners(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        emitted = ids(scene.submit(*[scene.event() for _ in range(40)]))

        def plan_all(_: int) -> list[Planned]:
            calls = [scene.plan(3, capacity=100)]
            while calls[-1].events or calls[-1].more:
                calls.append(scene.plan(3, capacity=100))
            return calls

        with ThreadPoolExecutor(4) as pool:
            calls = [call for calls in pool.map(plan_all, range(4)) for call in calls]
        assert sum(call.events for call in calls) == 40
        assert sum(call.deliveries for call in calls) == 80
        assert set(Counter(one.id for call in calls for one in call.claimed).values()) == {1}
        assert Counter(one.event_id for one in scene.deliveries()) == dict.fromkeys(emitted, 2)

    def test_no_more_events_are_planned_than_asked_for(self, scene: Scene) -> None:
        scene.active()
        scene.submit(*[scene.event() for _ in range(5)])
        calls = [scene.plan(2) for _ in range(3)]
        assert [(call.events, call.more) for call in calls] == [(2, True), (2, True), (1, False)]

    def test_an_event_emitted_beside_a_planner_is_planned_with_its_own_bytes(self, scene: Scene) -> None:
        scene.plan()
        scene.active()
        events = [scene.event(payload={"number": number}) for number in range(3)]
        scene.submit(*events)
        scene.deactivate(scene.active())
        planned = scene.plan(capacity=10)
        assert {one.event_id: one.body for one in planned.claimed} == {one.id: one.body for one in events}
        assert {(one.tenant, one.product, one.event_type) for one in planned.claimed} == {(ACME, "shop", "paid")}

    def test_an_event_emitted_beside_a_planner_is_planned_with_the_current_configuration(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.plan()
        scene.emit("paid", {"amount": 7, "name": "Ada"})
        scene.revise(webhook, mapping=PayloadMapping(remove=["name"]))
        assert [scene.body(one) for one in scene.plan(capacity=10).claimed] == [b'{"amount":7}']

    def test_tenants_are_planned_in_turn(self, scene: Scene) -> None:
        scene.active(tenant="other")
        scene.submit(*[scene.event() for _ in range(20)])
        scene.emit(tenant="other")
        scene.plan(5)
        assert len(scene.deliveries("other")) == 1

    def test_every_event_of_a_large_fan_out_is_planned_in_the_end(self, scene: Scene) -> None:
        webhooks = [scene.active(*[f"https://{n}.example.com/" for n in range(50)]) for _ in range(24)]
        scene.emit()
        made, more = 0, True
        while more:
            planned = scene.plan(1, capacity=10)
            made, more = made + planned.deliveries, planned.more
        assert made == 1200
        assert not scene.store.work().new_events
        assert {len(scene.deliveries(webhook_id=one.id)) for one in webhooks} == {50}

    def test_an_event_whose_key_is_used_again_is_planned_once(self, scene: Scene) -> None:
        scene.active()
        for _ in range(2):
            scene.planned(idempotency_key="k", digest=b"d")
            scene.emit(idempotency_key="k", digest=b"d")
            assert not scene.store.work().new_events
        assert len(scene.deliveries()) == 1

    # Recipients of an event.

    def test_an_event_goes_to_its_subscribers(self, scene: Scene) -> None:
        wanted = [
            scene.active(subscriptions=[EventSubscription("shop", "paid")]),
            scene.active(subscriptions=[EventSubscription("shop", "*")]),
        ]
        scene.active(subscriptions=[EventSubscription("shop", "refunded")])
        scene.active(subscriptions=[EventSubscription("stock", "*")])
        scene.active(subscriptions=[])
        scene.active(tenant="other")
        scene.planned("paid")
        assert {one.webhook_id for one in scene.deliveries()} == set(ids(wanted))

    def test_an_event_goes_to_subscribers_whose_conditions_hold(self, scene: Scene) -> None:
        def wanting(*where: Condition, event_type: str = "paid") -> Webhook:
            return scene.active(subscriptions=[EventSubscription("shop", event_type, where)])

        dear, from_a = Condition("amount", "ge", 100), Condition("lines[*].sku", "prefix", "A-")
        wanted = [wanting(dear), wanting(dear, from_a), wanting(from_a, event_type="*"), wanting()]
        wanting(Condition("amount", "lt", 100))
        wanting(dear, Condition("lines[*].sku", "eq", "B-1"))
        wanting(Condition("gone", "exists"))
        # An event too large to be read together with the new ones, and that no process has in memory.
        scene.emit("paid", {"amount": 100, "lines": [{"sku": "A-1"}], "text": "x" * 20_000})
        assert scene.plan().deliveries == 4
        assert {one.webhook_id for one in scene.deliveries()} == set(ids(wanted))

    def test_subscriptions_to_one_event_are_alternatives(self, scene: Scene) -> None:
        def wanting(*alternatives: list[Condition]) -> Webhook:
            return scene.active(subscriptions=[EventSubscription("shop", "paid", where) for where in alternatives])

        few, many = Condition("n", "lt", 5), Condition("n", "gt", 10)
        either, always = wanting([few], [many]), wanting([few], [])
        for number in (1, 7, 20):
            scene.emit("paid", {"n": number})
        scene.plan_all()
        planned = [one.webhook_id for one in scene.deliveries()]
        assert (planned.count(either.id), planned.count(always.id)) == (2, 3)

    def test_the_beginning_of_an_event_type_stands_for_all_that_begin_so(self, scene: Scene) -> None:
        webhook = scene.active(subscriptions=[EventSubscription("shop", "order.*")])
        for event_type in ("order.paid", "order.line.added", "order", "orders.paid", "order-paid"):
            scene.emit(event_type)
        scene.plan_all()
        assert {one.event_type for one in scene.deliveries()} == {"order.paid", "order.line.added"}
        assert {one.webhook_id for one in scene.deliveries()} == {webhook.id}

    def test_a_change_of_conditions_that_returned_before_the_emit_is_seen(self, scene: Scene) -> None:
        webhook = scene.active(subscriptions=[EventSubscription("shop", "paid", [Condition("n", "eq", 1)])])
        scene.emit("paid", {"n": 2})
        assert scene.plan().deliveries == 0
        scene.revise(webhook, subscriptions=[EventSubscription("shop", "paid", [Condition("n", "eq", 2)])])
        scene.emit("paid", {"n": 2})
        assert scene.plan().deliveries == 1

    def test_many_subscribers_whose_conditions_do_not_hold_delay_no_others(self, scene: Scene) -> None:
        for _ in range(30):
            scene.active(subscriptions=[EventSubscription("shop", "paid", [Condition("n", "eq", 1)])])
        scene.active(subscriptions=[EventSubscription("shop", "paid", [Condition("n", "eq", 2)])])
        scene.emit("paid", {"n": 2})
        calls = 1
        while scene.plan().more:
            calls += 1
        assert len(scene.deliveries()) == 1
        assert calls < 40

    def test_several_matching_subscriptions_give_one_delivery_per_endpoint(self, scene: Scene) -> None:
        scene.active(subscriptions=[EventSubscription("shop", "*"), EventSubscription("shop", "paid")])
        scene.emit("paid")
        assert scene.plan().deliveries == 1

    def test_an_activation_that_returned_before_the_emit_is_seen(self, scene: Scene) -> None:
        webhook = scene.inactive()
        for _ in range(3):
            scene.emit()
            assert scene.plan().deliveries == 0
            scene.activate(webhook)
            scene.emit()
            assert scene.plan().deliveries == 1
            scene.deactivate(webhook)

    def test_a_clock_that_is_set_back_after_the_activation_loses_no_event(self, scene: Scene) -> None:
        scene.active()
        scene.store.use_clock(lambda: scene.clock() - timedelta(hours=1))
        scene.emit()
        assert scene.plan().deliveries == 1

    def test_events_emitted_before_the_activation_are_not_planned(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.emit()
        scene.activate(webhook)  # within the same microsecond
        assert scene.plan().deliveries == 0

    def test_events_emitted_while_active_are_planned_and_held_after_deactivation(self, scene: Scene) -> None:
        webhook = scene.active()
        event = scene.emit()
        scene.deactivate(webhook)  # within the same microsecond
        scene.emit()
        assert counts(scene.plan(capacity=10)) == (2, 1, 0)
        [delivery] = scene.deliveries()
        assert (delivery.event_id, delivery.held) == (event.id, True)

    def test_only_the_last_active_interval_counts(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.emit()
        scene.deactivate(webhook)
        scene.activate(webhook)
        assert scene.plan().deliveries == 0

    def test_events_emitted_before_the_endpoint_was_disabled_are_planned_and_held(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.emit()
        scene.clock.advance(1)
        scene.disable(webhook)
        scene.emit()
        assert scene.plan().deliveries == 3
        assert [one.held for one in scene.deliveries(endpoint_id=webhook.endpoints[0].id)] == [True]
        assert len(scene.claim()) == 2

    def test_subscriptions_endpoints_and_mapping_are_those_at_planning(self, scene: Scene) -> None:
        webhook = scene.active(subscriptions=[])
        scene.emit("paid", {"a": 1})
        kept = evolve(webhook.endpoints[0], id="end_later")
        scene.revise(
            webhook,
            subscriptions=[EventSubscription("shop", "paid")],
            endpoints=[kept],
            mapping=PayloadMapping(rename={"a": "b"}),
        )
        [claimed] = scene.plan(capacity=1).claimed
        assert (claimed.endpoint_id, scene.body(claimed)) == ("end_later", b'{"b":1}')

    # The bytes of the body.

    def test_without_a_mapping_the_events_own_bytes_are_sent(self, scene: Scene) -> None:
        scene.active()
        scene.emit(body=b'{"z":1,  "a":"\xc3\xbc"}')
        [claimed] = scene.plan(capacity=1).claimed
        assert (claimed.body, claimed.rendering) == (b'{"z":1,  "a":"\xc3\xbc"}', None)

    def test_a_delivery_keeps_the_rendering_of_the_time_it_was_planned(self, scene: Scene) -> None:
        webhook = scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        first = scene.emit("paid", {"a": 1, "b": 2})
        [claimed] = scene.plan(capacity=1).claimed
        assert claimed.body == b'{"a":1,"b":2}'
        assert scene.body(claimed) == b'{"b":1}'
        scene.revise(webhook, mapping=PayloadMapping())
        scene.retry(claimed)
        scene.clock.advance(61)
        [again] = scene.claim()
        assert (again.body, again.rendering) == (claimed.body, claimed.rendering)
        assert scene.body(again) == b'{"b":1}'
        assert scene.events()[0].id == first.id
        assert scene.events()[0].payload == {"a": 1, "b": 2}

    def test_a_rendering_is_kept_once_whoever_uses_it(self, scene: Scene) -> None:
        mapping = PayloadMapping(rename={"a": "b"})
        scene.active(mapping=mapping)
        scene.active(OTHER_URL, mapping=mapping)
        scene.emit("paid", {"a": 1})
        renderings = {one.rendering for one in scene.plan(capacity=10).claimed if one.rendering}
        assert len(renderings) == 1
        assert set(scene.store.renderings([*renderings, "unknown"])) == renderings

    # Subscribers.

    def test_deliveries_are_leased_while_there_is_room_and_others_due_now(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.submit(*[scene.event() for _ in range(3)])
        planned = scene.plan(capacity=3)
        assert planned.deliveries == 6
        assert len(planned.claimed) == 3
        rest = scene.claim()
        assert len(rest) == 3
        assert len({*ids(planned.claimed), *ids(rest)}) == 6

    def test_a_full_endpoint_is_given_nothing_by_planning(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        full, free = ids(webhook.endpoints)
        scene.submit(*[scene.event() for _ in range(3)])
        planned = scene.store.plan(scene.lease(), Capacity(100, 2, {full: 2}), 100)
        assert [one.endpoint_id for one in planned.claimed] == [free, free]

    def test_deliveries_leased_by_planning_are_complete_and_can_be_recorded(self, scene: Scene) -> None:
        webhook = scene.active()
        event = scene.emit("paid", {"a": 1})
        [claimed] = scene.plan(capacity=1).claimed
        assert (claimed.tenant, claimed.event_id, claimed.webhook_id) == (ACME, event.id, webhook.id)
        assert claimed.endpoint_id == webhook.endpoints[0].id
        assert (claimed.product, claimed.event_type, claimed.body) == ("shop", "paid", b'{"a":1}')
        assert (claimed.attempt_count, claimed.elapsed_us) == (0, 0)
        assert claimed.config_version == scene.store.config_versions([ACME])[ACME]
        assert scene.claim() == []
        assert list(scene.deliver(claimed).accepted) == [claimed.id]


def counts(planned: Planned) -> tuple[int, int, int]:
    """Return how many events were planned, deliveries made, and deliveries leased."""
    return planned.events, planned.deliveries, len(planned.claimed)
