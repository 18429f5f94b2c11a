"""The rules that every store follows when it counts and measures."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

from attrs import evolve

from unihooks._contract.activity import HOUR
from unihooks._contract.filters import name_position
from unihooks._contract.leasing import new_token
from unihooks._contract.statistics import WebhookHealth
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Webhook
from unihooks.abc import Capacity, DeliveryFilter, Lease, Window
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, TOO_LONG, URL, Scene, ids


class FiguresRules:
    """The rules of counts, of health and of what an operator sees."""

    def test_deliveries_are_counted_as_they_are_listed_up_to_a_limit(self, scene: Scene) -> None:
        scene.active()
        for event_type in ("paid", "paid", "refunded"):
            scene.pending(event_type=event_type)
        scene.deliver(scene.claim()[0])

        def counted(most: int = 10, tenant: str = ACME, **filters: Any) -> int:
            return scene.store.count_deliveries(tenant, DeliveryFilter(**filters), most)

        assert (counted(), counted(2), counted(tenant="other")) == (3, 2, 0)
        assert (counted(event_type="paid"), counted(state=DeliveryState.DELIVERED)) == (2, 1)
        assert (counted(held=True), counted(held=False)) == (0, 3)

    def test_a_tally_says_whether_it_has_counted_all(self, scene: Scene) -> None:
        scene.active()
        first = scene.claimed(event_type="paid")
        scene.deliver(first)
        for event_type in ("paid", "refunded", "refunded"):
            scene.pending(event_type=event_type)
            scene.clock.advance(1)

        def tally(most: int, tenant: str = ACME, **filters: Any) -> tuple[int, bool]:
            return scene.store.tally_deliveries(tenant, DeliveryFilter(**filters), most)

        assert (tally(10), tally(4), tally(10, "other")) == ((4, True), (4, True), (0, True))
        assert (tally(3), tally(1, event_type="refunded")) == ((3, False), (1, False))
        assert (tally(10, search=URL), tally(2, search=URL)) == ((4, True), (2, False))
        assert tally(10, state=DeliveryState.DELIVERED) == (1, True)
        # If only the newest are considered, older ones are not all counted.
        assert tally(2, state=DeliveryState.DELIVERED) in ((0, False), (1, True))

    def test_filters_combine_as_they_work_alone(self, scene: Scene) -> None:
        one = _all_kinds(scene)
        every = scene.deliveries()
        options: dict[str, list[Any]] = {
            "webhook_id": [None, one.id],
            "endpoint_id": [None, one.endpoints[0].id],
            "event_id": [None, every[0].event_id],
            "event_type": [None, "paid", "none"],
            "state": [None, *DeliveryState],
            "held": [None, True, False],
        }
        for values in product(*options.values()):
            filters = {name: value for name, value in zip(options, values, strict=True) if value is not None}
            expected = [each for each in every if all(getattr(each, name) == filters[name] for name in filters)]
            assert scene.deliveries(**filters) == expected, filters
            assert scene.store.count_deliveries(ACME, DeliveryFilter(**filters), 250) == len(expected), filters

    def test_a_delivery_has_the_body_that_is_sent(self, scene: Scene) -> None:
        plain = scene.active()
        scene.active(mapping=evolve(plain.mapping, rename={"a": "b"}))
        scene.planned(payload={"a": 1})
        bodies = {scene.body(one): scene.rendered(one.id) for one in scene.claim()}
        assert bodies == {b'{"a":1}': b'{"a":1}', b'{"b":1}': b'{"b":1}'}

    def test_a_body_that_is_erased_is_empty(self, scene: Scene) -> None:
        scene.active(mapping=TOO_LONG)
        scene.active(OTHER_URL)
        event = scene.planned("paid", {"a": 1})
        scene.erase(event)
        erased = scene.deliveries(event_id=event.id)
        assert [scene.store.delivery_source(ACME, one.id)[0] for one in erased] == [b"", b""]

    def test_all_that_a_filter_shows_is_replayed_oldest_first_in_batches(self, scene: Scene) -> None:
        scene.active()
        failed = [scene.claimed(payload={"n": n}) for n in range(5)]
        scene.fail(*failed)
        last = ids(failed)[-1]
        made, after = scene.store.replay_many(
            ACME, DeliveryFilter(state=DeliveryState.FAILED), after="", last=last, limit=3, most=9
        )
        assert (made, after) == (3, failed[2].id)
        assert after is not None
        rest = scene.store.replay_many(ACME, DeliveryFilter(), after=after, last=last, limit=3, most=9)
        assert rest == (2, None)
        claimed = scene.claim()
        assert [one.body for one in claimed] == [one.body for one in failed]
        replays = {one.id: one.replay_of for one in scene.deliveries() if one.replay_of}
        assert [replays[one.id] for one in claimed] == ids(failed)

    def test_pending_and_unreplayable_deliveries_are_left_out(self, scene: Scene) -> None:
        gone = scene.active()
        scene.deliver(scene.claimed())
        scene.store.delete_webhook(ACME, gone.id)
        unmapped = scene.active(mapping=TOO_LONG)
        scene.unrendered()
        scene.store.delete_webhook(ACME, unmapped.id)
        scene.active()
        erased, good = scene.claimed(), scene.claimed()
        scene.deliver(erased, good)
        [event] = scene.events(event_id=erased.event_id)
        scene.erase(event)
        pending = scene.pending()
        made = scene.store.replay_many(ACME, DeliveryFilter(), after="", last=pending.id, limit=10, most=9)
        assert made == (1, None)
        assert [one.replay_of for one in scene.deliveries() if one.replay_of] == [good.id]

    def test_no_more_are_replayed_than_may_be(self, scene: Scene) -> None:
        scene.active()
        failed = [scene.claimed() for _ in range(3)]
        scene.fail(*failed)
        first, second, last = ids(failed)

        def replay(after: str, most: int, limit: int = 10) -> tuple[int, str | None]:
            return scene.store.replay_many(ACME, DeliveryFilter(), after=after, last=last, limit=limit, most=most)

        assert replay("", 0) == (0, "")
        assert replay("", 2) == (2, second)
        assert replay(second, 0) == (0, second)
        assert replay(second, 1) == (1, None)
        assert replay("", 0, limit=2) == (0, second)
        assert replay("", 9) == (0, None)
        assert first < second

    def test_deliveries_with_a_delivered_or_pending_replay_are_not_replayed_again(self, scene: Scene) -> None:
        scene.active()
        delivered, failed = scene.claimed(), scene.claimed()
        scene.deliver(delivered)
        scene.fail(failed)

        def replay(**filters: Any) -> int:
            last = scene.deliveries()[0].id
            chosen = DeliveryFilter(**filters)
            return scene.store.replay_many(ACME, chosen, after="", last=last, limit=10, most=9)[0]

        assert replay(state=DeliveryState.FAILED) == 1
        assert replay() == 1, "what was delivered without a replay is sent again if asked for"
        assert replay() == 0
        again = {one.event_id: one for one in scene.claim()}
        scene.deliver(again[delivered.event_id])
        scene.fail(again[failed.event_id])
        assert replay() == 1, "of an event that failed twice one delivery is made"
        [newest] = scene.deliveries(state=DeliveryState.PENDING)
        assert newest.replay_of == again[failed.event_id].id
        scene.deliver(*scene.claim())
        assert [replay(state=DeliveryState.FAILED), replay(), replay(event_id=failed.event_id)] == [0, 0, 0]

    # Health.

    def test_health_tells_since_when_an_endpoint_fails_and_when_it_is_tried_next(self, scene: Scene) -> None:
        webhook = scene.active()
        started = scene.clock()
        scene.retry(scene.claimed(), after=60)
        scene.clock.advance(60)
        scene.retry(*scene.claim(), after=300)
        health = _health(scene, webhook)
        [endpoint] = health.endpoints
        assert endpoint.endpoint_id == webhook.endpoints[0].id
        assert (endpoint.failing_since, endpoint.failures) == (started, 2)
        assert (endpoint.last_success_at, endpoint.last_failure_at) == (None, scene.clock())
        assert endpoint.next_attempt_at == scene.clock() + timedelta(seconds=300)
        assert (health.last_delivery_at, health.last_delivery_state) == (started, DeliveryState.PENDING)
        assert health.failing

    def test_a_success_ends_the_failing(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.retry(scene.claimed(), after=0)
        scene.deliver(*scene.claim())
        health = _health(scene, webhook)
        [endpoint] = health.endpoints
        assert (endpoint.failing_since, endpoint.failures, endpoint.next_attempt_at) == (None, 0, None)
        assert endpoint.last_success_at == endpoint.last_failure_at == scene.clock()
        assert health.last_delivery_state is DeliveryState.DELIVERED

    def test_held_deliveries_have_no_next_attempt(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        assert _health(scene, webhook).endpoints[0].next_attempt_at == scene.clock()
        scene.deactivate(webhook)
        assert _health(scene, webhook).endpoints[0].next_attempt_at is None

    def test_health_covers_only_the_webhooks_of_the_tenant(self, scene: Scene) -> None:
        one, other = scene.active(URL, OTHER_URL), scene.active(tenant="other")
        health = scene.store.webhook_health(ACME, [one.id, other.id, "whk_nobodys", one.id])
        assert list(health) == [one.id]
        assert [item.endpoint_id for item in health[one.id].endpoints] == [item.id for item in one.endpoints]
        assert (health[one.id].last_delivery_at, health[one.id].last_delivery_state) == (None, None)

    def test_the_last_day_is_counted_hour_by_hour(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.deliver(scene.claimed())
        scene.clock.advance(2 * 3600)
        scene.retry(scene.claimed(), after=0)
        scene.deliver(*scene.claim())
        hours = _health(scene, webhook).hours
        counts = [(one.attempts, one.delivered, one.failed) for one in hours]
        assert counts[-3:] == [(1, 1, 0), (0, 0, 0), (2, 1, 1)]
        assert (len(hours), set(counts[:-3])) == (25, {(0, 0, 0)})
        assert hours[-1].hour <= scene.clock() < hours[-1].hour + timedelta(hours=1)
        scene.clock.advance(2 * DAY)
        assert sum(one.attempts for one in _health(scene, webhook).hours) == 0

    # The operator's view.

    def test_failing_endpoints_of_all_tenants_are_listed_the_longest_failing_first(self, scene: Scene) -> None:
        webhooks = [scene.active(name="one"), scene.active(OTHER_URL, name="two", tenant="other")]
        for webhook in webhooks:
            scene.retry(scene.claimed(tenant=webhook.tenant), after=900)
            scene.clock.advance(1)
        scene.active(name="well", tenant="third")
        scene.deliver(scene.claimed(tenant="third"))
        failing = scene.store.failing_endpoints(10)
        assert [(one.tenant, one.webhook_name, one.url) for one in failing] == [
            (ACME, "one", URL),
            ("other", "two", OTHER_URL),
        ]
        assert [(one.webhook_id, one.endpoint_id) for one in failing] == [
            (one.id, one.endpoints[0].id) for one in webhooks
        ]
        assert (failing[0].failing_since, failing[0].failures) == (scene.clock() - timedelta(seconds=2), 1)
        assert scene.store.failing_endpoints(1) == failing[:1]

    def test_the_slowest_endpoints_of_all_tenants_come_first(self, scene: Scene) -> None:
        for tenant, milliseconds in ((ACME, 40), ("other", 4_000), ("third", 400)):
            scene.active(name=tenant, tenant=tenant)
            scene.deliver(scene.claimed(tenant=tenant), duration_us=milliseconds * 1_000)
        now = scene.store.now() // HOUR
        slowest = scene.store.slowest_endpoints(now, 2)
        assert [(one.tenant, one.attempts, one.mean_ms) for one in slowest] == [("other", 1, 4_000), ("third", 1, 400)]
        assert 2_000 <= slowest[0].p95_ms <= 5_000
        assert scene.store.slowest_endpoints(now + 1, 2) == []

    def test_tenants_are_listed_with_their_webhooks_and_due_deliveries(self, scene: Scene) -> None:
        for tenant in ("beta", "alpha", "Gamma"):
            scene.active(tenant=tenant)
        scene.inactive(tenant="alpha")
        scene.retry(scene.claimed(tenant="beta"), after=60)
        scene.pending(tenant="alpha")
        scene.pending(tenant="beta")

        def listed(limit: int = 9, **edge: Any) -> list[tuple[str, int, int]]:
            tenants = scene.store.list_tenants(Window(limit=limit, **edge))
            return [(one.tenant, one.webhooks, one.due) for one in tenants]

        assert listed() == [("beta", 1, 1), ("alpha", 2, 1), ("Gamma", 1, 0)]
        assert listed(1, older_than="beta") == listed(1, newer_than="Gamma") == [("alpha", 2, 1)]

    def test_deliveries_of_a_paused_endpoint_are_due_in_each_count(self, scene: Scene) -> None:
        scene.active()
        busy = scene.claimed()
        scene.pending()
        scene.busy(busy, seconds=600, after=900)
        assert scene.claim() == []
        [tenant] = scene.store.list_tenants(Window(limit=9))
        assert tenant.due == scene.store.statistics().due == scene.store.backlog(ACME).due == 1

    def test_workers_are_seen_with_the_leases_they_hold(self, scene: Scene) -> None:
        scene.active()
        for worker_id in ("one", "two", "idle"):
            scene.store.heartbeat(worker_id)
        for worker_id, count in (("one", 2), ("two", 1)):
            for _ in range(count):
                scene.pending()
                scene.store.claim(Lease(token=new_token(worker_id), seconds=30), Capacity(1, 1))
        assert {one.id: one.leases for one in scene.store.statistics().workers} == {"one": 2, "two": 1, "idle": 0}
        scene.clock.advance(31)
        assert {one.leases for one in scene.store.statistics().workers} == {0}

    # Webhooks by name.

    def test_webhooks_are_listed_by_name_within_a_window(self, scene: Scene) -> None:
        made = [scene.inactive(name=name) for name in ("beta", "Äpfel", "Beta", "alpha", "beta two")]
        scene.inactive(name="alpha", tenant="other")
        last_first = sorted(made, key=name_position, reverse=True)
        assert [one.name.casefold() for one in last_first] == ["äpfel", "beta two", "beta", "beta", "alpha"]

        def listed(**edge: Any) -> list[str]:
            return ids(scene.webhooks(window=Window(limit=2, by_name=True, **edge)))

        positions = [name_position(one) for one in last_first]
        assert listed() == ids(last_first[:2])
        assert listed(older_than=positions[1]) == listed(newer_than=positions[4]) == ids(last_first[2:4])
        assert listed(newer_than="") == ids(last_first[3:])
        assert listed(older_than=positions[4]) == listed(newer_than=positions[0]) == []

    def test_a_renamed_webhook_moves_in_a_listing_by_name(self, scene: Scene) -> None:
        first, second = scene.inactive(name="a"), scene.inactive(name="b")
        scene.revise(first, name="c")
        listed = scene.webhooks(window=Window(limit=9, by_name=True))
        assert ids(listed) == [first.id, second.id]


def _all_kinds(scene: Scene) -> Webhook:
    """Create deliveries in every state, some of them held, for two webhooks; return one."""
    one, two = scene.active(URL, OTHER_URL), scene.active()
    for event_type in ("paid", "refunded"):
        for settle in (scene.deliver, scene.fail, scene.retry):
            scene.planned(event_type)
            settle(*scene.claim())
        for delivery in scene.deliveries(event_id=scene.planned(event_type).id)[:2]:
            scene.store.cancel(ACME, delivery.id, "by hand")
    scene.deactivate(two)
    return one


def _health(scene: Scene, webhook: Webhook) -> WebhookHealth:
    return scene.store.webhook_health(webhook.tenant, [webhook.id])[webhook.id]
