"""The rules that every store follows when a webhook's policy limits its deliveries."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from unihooks._base.times import SECOND
from unihooks._model.policy import DeliveryPolicy
from unihooks.abc import Capacity, Lease
from unihooks.testing._store_rules.scene import OTHER_URL, URL, Scene, ids


class LimitRules:
    """The rules of a policy's rate, burst, requests in flight and deadline."""

    def test_planning_leases_nothing_from_lanes_with_limits(self, scene: Scene) -> None:
        for limits in ({"rate": 5}, {"in_flight": 5}, {"deadline": 5}):
            scene.active(policy=DeliveryPolicy(**limits))
        webhook = scene.active(policy=DeliveryPolicy(retry_delays=[5]))
        scene.emit()
        planned = scene.plan(capacity=10)
        assert planned.deliveries == 4
        assert [one.webhook_id for one in planned.claimed] == [webhook.id]
        assert len(scene.claim()) == 3

    def test_a_rate_allows_a_burst_and_then_a_number_per_second(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=2, burst=3))
        scene.several(12)
        assert len(scene.claim()) == 3
        for seconds, count in ((0, 0), (0.4, 0), (0.1, 1), (1, 2), (0.25, 0), (0.25, 1), (60, 3)):
            scene.clock.advance(seconds)
            assert len(scene.claim()) == count

    def test_a_burst_is_a_second_of_the_rate_by_itself_and_at_least_one(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=4))
        scene.several(10)
        assert len(scene.claim()) == 4
        scene.active(policy=DeliveryPolicy(rate=0.01))
        scene.several(2)
        assert Counter(one.webhook_id for one in scene.claim()).total() == 1

    def test_in_the_long_run_the_rate_is_used_fully(self, scene: Scene) -> None:
        for rate, seconds in ((0.5, 60), (3.3, 30), (10, 15)):
            webhook = scene.active(policy=DeliveryPolicy(rate=rate, burst=max(1, rate)))
            scene.planned()
            scene.claim()
            scene.several(round(rate * (seconds + 1)))
            went = 0
            end = scene.store.now() + seconds * SECOND
            while (due := scene.store.work().next_due) is not None and due <= end:
                # Workers are slightly late, by varying amounts.
                scene.clock.advance(max(0, due - scene.store.now()) / SECOND + (went % 4) * 0.01)
                claimed = scene.claim()
                went += len(claimed)
                scene.deliver(*claimed)
            assert abs(went - seconds * rate) <= 2 * rate
            scene.store.delete_webhook(webhook.tenant, webhook.id)

    def test_a_delivery_that_waits_for_a_rate_is_not_due_sooner_when_more_arrive(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.5))
        scene.several(3)
        assert len(scene.claim()) == 1
        assert scene.claim() == []
        ready_at = scene.store.now() + 2 * SECOND
        assert scene.store.work().next_due == ready_at
        scene.several(3)
        assert scene.store.work().next_due == ready_at

    def test_waiting_for_a_limit_costs_no_attempt(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.5))
        scene.several(2)
        [first] = scene.claim()
        scene.clock.advance(3600)
        [second] = scene.claim()
        assert (second.id != first.id, second.attempt_count, second.elapsed_us) == (True, 0, 0)

    def test_no_more_are_leased_than_may_be_in_flight(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(in_flight=2))
        scene.several(9)
        one, other = scene.claim()
        assert scene.claim() == []
        for end in (scene.deliver, scene.retry, scene.fail, lambda claimed: scene.store.release([claimed])):
            end(one)
            assert scene.store.work().next_due == scene.store.now()
            [one] = scene.claim()
            assert scene.claim() == []
        # A lease that has ended no longer counts.
        scene.clock.advance(29)
        scene.deliver(other)
        [newer] = scene.claim()
        scene.clock.advance(1)
        [another] = scene.claim()
        assert scene.claim() == []
        scene.deliver(newer, another)
        assert len(scene.claim()) == 2

    def test_racing_workers_keep_to_the_limit_in_flight(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(in_flight=3))
        scene.several(60)
        leased: set[str] = set()
        most = []

        def work(_: int) -> None:
            for _ in range(15):
                claimed = scene.claim(5, 5)
                leased.update(ids(claimed))
                most.append(len(leased))
                leased.difference_update(ids(claimed))
                scene.deliver(*claimed)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert 1 <= max(most) <= 3

    def test_limits_hold_for_each_endpoint_by_itself(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL, policy=DeliveryPolicy(in_flight=2))
        scene.several(5)
        assert Counter(one.endpoint_id for one in scene.claim()) == dict.fromkeys(ids(webhook.endpoints), 2)

    def test_a_delivery_released_unsent_uses_up_no_rate(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.01, burst=2))
        scene.several(5)
        for _ in range(3):
            claimed = scene.claim()
            assert len(claimed) == 2
            scene.store.release(claimed)

    def test_a_lane_with_limits_has_its_share_beside_a_backlog(self, scene: Scene) -> None:
        scene.active()
        limited = scene.active(OTHER_URL, policy=DeliveryPolicy(rate=5))
        scene.several(20)
        claimed = scene.claim(10, 10)
        assert Counter(one.webhook_id for one in claimed)[limited.id] == 5
        assert len(claimed) == 10

    def test_a_lease_lasts_as_much_longer_as_the_webhooks_own_deadline(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(deadline=60))
        scene.active(policy=DeliveryPolicy(deadline=5))
        scene.planned()
        claimed = scene.store.claim(Lease(token=7, seconds=30, deadline=20), Capacity(9, 9))
        assert sorted(one.terms.deadline for one in claimed if one.terms) == [5, 60]
        scene.clock.advance(30)
        [short] = scene.claim()
        assert short.terms is not None
        assert short.terms.deadline == 5
        scene.clock.advance(39.9)
        assert len(scene.claim()) == 1
        scene.clock.advance(0.1)
        assert len(scene.claim()) == 1

    # Changes.

    def test_a_policy_is_stored_and_seen_by_workers(self, scene: Scene) -> None:
        policy = DeliveryPolicy(retry_delays=[1.5, 60], deadline=7, in_flight=3, rate=2.5, burst=9)
        webhook = scene.active(policy=policy)
        assert scene.store.get_webhook(webhook.tenant, webhook.id).policy == policy
        [endpoint] = ids(webhook.endpoints)
        assert scene.store.destinations([endpoint])[endpoint].policy == policy
        scene.revise(webhook, policy=DeliveryPolicy())
        assert scene.store.destinations([endpoint])[endpoint].policy is None

    def test_a_change_of_limits_applies_to_pending_deliveries(self, scene: Scene) -> None:
        webhook = scene.active(policy=DeliveryPolicy(rate=0.01))
        scene.several(20)
        assert len(scene.claim()) == 1
        scene.revise(webhook, policy=DeliveryPolicy(rate=0.01, in_flight=4))
        assert scene.claim() == []
        scene.revise(webhook, policy=DeliveryPolicy(in_flight=4))
        assert scene.store.work().next_due == scene.store.now()
        assert len(scene.claim()) == 3
        scene.revise(webhook, policy=DeliveryPolicy())
        assert len(scene.claim(10, 10)) == 10
        scene.revise(webhook, policy=DeliveryPolicy(in_flight=15))
        assert len(scene.claim()) == 1

    def test_a_lease_from_before_a_limit_frees_its_place_once_it_ends(self, scene: Scene) -> None:
        ends = (scene.deliver, scene.retry, lambda *claimed: scene.store.release(claimed))
        for policy in (DeliveryPolicy(), DeliveryPolicy(rate=1000, burst=1000), DeliveryPolicy(deadline=60)):
            for end in ends:
                webhook = scene.active(policy=policy)
                scene.several(5)
                older = scene.claim()
                scene.revise(webhook, policy=DeliveryPolicy(in_flight=2))
                scene.several(5)
                assert scene.claim() == []
                end(*older)
                due = scene.store.work().next_due
                assert due is not None
                assert due <= scene.store.now() + SECOND
                scene.clock.advance(max(0, due - scene.store.now()) / SECOND)
                assert len(scene.claim()) == 2
                scene.store.delete_webhook(webhook.tenant, webhook.id)

    def test_long_after_a_change_of_limits_a_lane_waits_for_requests_in_flight(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.several(3)
        scene.revise(webhook, policy=DeliveryPolicy(in_flight=1))
        scene.clock.advance(600)
        assert len(scene.claim(seconds=30)) == 1
        assert scene.claim(seconds=30) == []
        assert scene.store.work().next_due == scene.store.now() + 30 * SECOND

    def test_a_change_of_limits_leaves_retries_at_their_times(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.retry(scene.claimed(), after=300)
        scene.revise(webhook, policy=DeliveryPolicy(rate=100, in_flight=4, retry_delays=[1]))
        scene.clock.advance(299)
        assert scene.claim() == []
        scene.clock.advance(1)
        assert len(scene.claim()) == 1
