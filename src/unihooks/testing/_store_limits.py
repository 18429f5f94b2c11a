"""What every store keeps to where a lane lets only so much go: by its webhook's policy, or after failures."""

# ruff: noqa: S101, PLR2004 - a test's name is the rule, it asserts, and a literal is what is expected

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from attrs import evolve

from unihooks._base.times import SECOND
from unihooks._model.log import DeliveryState
from unihooks._model.policy import CircuitBreaker, DeliveryPolicy
from unihooks.abc import Claimed, Lease, Recorded
from unihooks.testing._store_scene import OTHER_URL, URL, Scene, ids

BREAKER = CircuitBreaker(failures=3, pause=30, longest=100)
# A pause takes up to a fifth longer.
LONGER = 1.2


class LimitRules:
    """The rules of a policy's rate, burst, requests in flight and deadline."""

    def test_planning_leases_nothing_where_there_are_limits(self, scene: Scene) -> None:
        for limits in ({"rate": 5}, {"in_flight": 5}, {"deadline": 5}):
            scene.active(policy=DeliveryPolicy(**limits))
        webhook = scene.active(policy=DeliveryPolicy(retry_delays=[5]))
        scene.emit()
        planned = scene.plan(capacity=10)
        assert planned.deliveries == 4
        assert [one.webhook_id for one in planned.claimed] == [webhook.id]
        assert len(scene.claim()) == 3

    def test_a_rate_lets_a_burst_go_and_then_so_many_a_second(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=2, burst=3))
        several(scene, 12)
        assert len(scene.claim()) == 3
        for seconds, count in ((0, 0), (0.4, 0), (0.1, 1), (1, 2), (0.25, 0), (0.25, 1), (60, 3)):
            scene.clock.advance(seconds)
            assert len(scene.claim()) == count

    def test_a_burst_is_a_second_of_the_rate_by_itself_and_at_least_one(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=4))
        several(scene, 10)
        assert len(scene.claim()) == 4
        scene.active(policy=DeliveryPolicy(rate=0.01))
        several(scene, 2)
        assert Counter(one.webhook_id for one in scene.claim()).total() == 1

    def test_over_a_minute_as_much_goes_as_the_rate_says(self, scene: Scene) -> None:
        for rate in (1, 3.3, 10, 50):
            webhook = scene.active(policy=DeliveryPolicy(rate=rate, burst=max(1, rate)))
            several(scene, 1)
            scene.claim()
            several(scene, round(rate * 61))
            went = 0
            end = scene.store.now() + 60 * SECOND
            while (due := scene.store.work().next_due) is not None and due <= end:
                # Workers are a little late, now more, now less.
                scene.clock.advance(max(0, due - scene.store.now()) / SECOND + (went % 4) * 0.01)
                claimed = scene.claim()
                went += len(claimed)
                scene.deliver(*claimed)
            assert abs(went - 60 * rate) <= 3 * rate
            scene.store.delete_webhook(webhook.tenant, webhook.id)

    def test_what_waits_for_a_rate_is_due_no_sooner_because_more_comes(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.5))
        several(scene, 3)
        assert len(scene.claim()) == 1
        assert scene.claim() == []
        ready_at = scene.store.now() + 2 * SECOND
        assert scene.store.work().next_due == ready_at
        several(scene, 3)
        assert scene.store.work().next_due == ready_at

    def test_waiting_for_a_limit_costs_no_attempt(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.5))
        several(scene, 2)
        [first] = scene.claim()
        scene.clock.advance(3600)
        [second] = scene.claim()
        assert (second.id != first.id, second.attempt_count, second.elapsed_us) == (True, 0, 0)

    def test_no_more_are_leased_than_may_be_in_flight(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(in_flight=2))
        several(scene, 9)
        one, other = scene.claim()
        assert scene.claim() == []
        for end in (scene.deliver, scene.retry, scene.fail, lambda claimed: scene.store.release([claimed])):
            end(one)
            assert scene.store.work().next_due == scene.store.now()
            [one] = scene.claim()
            assert scene.claim() == []
        # A lease that has ended counts no more.
        scene.clock.advance(29)
        scene.deliver(other)
        [newer] = scene.claim()
        scene.clock.advance(1)
        [another] = scene.claim()
        assert scene.claim() == []
        scene.deliver(newer, another)
        assert len(scene.claim()) == 2

    def test_racing_workers_keep_to_what_may_be_in_flight(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(in_flight=3))
        several(scene, 60)
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
        several(scene, 5)
        assert Counter(one.endpoint_id for one in scene.claim()) == dict.fromkeys(ids(webhook.endpoints), 2)

    def test_what_is_given_back_unsent_uses_up_no_rate(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.01, burst=2))
        several(scene, 5)
        for _ in range(3):
            claimed = scene.claim()
            assert len(claimed) == 2
            scene.store.release(claimed)

    def test_a_lane_with_limits_has_its_share_beside_a_backlog(self, scene: Scene) -> None:
        scene.active()
        limited = scene.active(OTHER_URL, policy=DeliveryPolicy(rate=5))
        several(scene, 20)
        claimed = scene.claim(10, 10)
        assert Counter(one.webhook_id for one in claimed)[limited.id] == 5
        assert len(claimed) == 10

    def test_a_lease_lasts_as_much_longer_as_the_webhooks_own_deadline(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(deadline=60))
        scene.active(policy=DeliveryPolicy(deadline=5))
        several(scene, 1)
        claimed = scene.store.claim(Lease(token=7, seconds=30, deadline=20), scene.capacity(9, 9, {}))
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

    def test_a_policy_is_kept_and_seen_by_those_who_send(self, scene: Scene) -> None:
        policy = DeliveryPolicy(retry_delays=[1.5, 60], deadline=7, in_flight=3, rate=2.5, burst=9)
        webhook = scene.active(policy=policy)
        assert scene.store.get_webhook(webhook.tenant, webhook.id).policy == policy
        [endpoint] = ids(webhook.endpoints)
        assert scene.store.destinations([endpoint])[endpoint].policy == policy
        scene.revise(webhook, policy=DeliveryPolicy())
        assert scene.store.destinations([endpoint])[endpoint].policy is None

    def test_a_change_of_limits_acts_on_what_is_pending(self, scene: Scene) -> None:
        webhook = scene.active(policy=DeliveryPolicy(rate=0.01))
        several(scene, 20)
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

    def test_a_change_of_limits_leaves_retries_at_their_times(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.retry(scene.claimed(), after=300)
        scene.revise(webhook, policy=DeliveryPolicy(rate=100, in_flight=4, retry_delays=[1]))
        scene.clock.advance(299)
        assert scene.claim() == []
        scene.clock.advance(1)
        assert len(scene.claim()) == 1


class BreakerRules:
    """The rules of the circuit breaker: pauses after failures in a row, and probes after pauses."""

    def test_a_lane_waits_after_failures_in_a_row(self, scene: Scene) -> None:
        webhook = scene.active()
        several(scene, 9)
        claimed = scene.claim(7, 7)
        fail(scene, *claimed[:2])
        scene.deliver(claimed[2])
        assert not fail(scene, *claimed[3:5]).paused
        assert len(scene.claim(1, 1)) == 1
        assert list(fail(scene, claimed[5]).paused) == ids(webhook.endpoints)
        assert scene.claim() == []
        scene.clock.advance(29.9)
        assert scene.claim() == []
        due = scene.store.work().next_due
        assert due is not None
        assert 0 <= due - scene.store.now() <= 30 * (LONGER - 1) * SECOND + SECOND

    def test_nothing_is_leased_of_a_lane_in_a_pause_when_it_is_planned(self, scene: Scene) -> None:
        paused(scene)
        for seconds in (0, 30 * LONGER):
            scene.clock.advance(seconds)
            scene.emit()
            planned = scene.plan(capacity=10)
            assert (planned.deliveries, list(planned.claimed)) == (1, [])

    def test_one_probe_at_a_time_goes_after_a_pause(self, scene: Scene) -> None:
        paused(scene)
        oldest = scene.pending()
        scene.clock.advance(1)
        several(scene, 5)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        assert probe.id == oldest.id
        assert probe.terms is not None
        assert probe.terms.is_probe
        assert scene.claim() == []
        several(scene, 1)
        assert scene.claim() == []
        # Whoever was to send it has vanished, or could not.
        scene.clock.advance(30)
        [probe] = scene.claim()
        assert scene.claim() == []
        scene.store.release([probe])
        assert len(scene.claim()) == 1
        assert scene.claim() == []

    def test_a_probe_that_comes_back_late_lets_no_second_one_go(self, scene: Scene) -> None:
        paused(scene)
        several(scene, 5)
        scene.clock.advance(30 * LONGER)
        [late] = scene.claim()
        scene.clock.advance(30)
        [probe] = scene.claim()
        scene.store.release([late])
        assert scene.claim() == []
        scene.deliver(probe)
        assert len(scene.claim()) == 5

    def test_pauses_double_up_to_the_longest(self, scene: Scene) -> None:
        paused(scene)
        several(scene, 9)
        for pause in (30, 60, 100, 100):
            scene.clock.advance(pause - 0.1)
            assert scene.claim() == []
            scene.clock.advance(pause * (LONGER - 1) + 0.1)
            [probe] = scene.claim()
            assert fail(scene, probe).paused
            assert scene.claim() == []

    def test_the_first_success_lets_all_go_on(self, scene: Scene) -> None:
        paused(scene)
        several(scene, 5)
        scene.clock.advance(30 * LONGER)
        scene.deliver(*scene.claim())
        assert scene.store.work().next_due == scene.store.now()
        claimed = scene.claim()
        assert len(claimed) == 5
        assert all(one.terms is None for one in claimed)
        scene.emit()
        assert len(scene.plan(capacity=9).claimed) == 1
        # The next pause is as short as the first.
        fail(scene, *claimed[:3])
        scene.clock.advance(30 * LONGER)
        assert len(scene.claim()) == 1

    def test_a_success_among_failures_lets_all_go_on_too(self, scene: Scene) -> None:
        other = paused(scene)
        several(scene, 5)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        good = scene.result(probe, DeliveryState.DELIVERED)
        bad = scene.result(other, DeliveryState.PENDING, retry_in_us=60 * SECOND)
        assert not scene.store.record([good, bad], BREAKER).paused
        assert len(scene.claim()) == 4

    def test_a_success_that_was_under_way_when_the_pause_began_ends_it(self, scene: Scene) -> None:
        under_way = paused(scene)
        several(scene, 2)
        assert scene.claim() == []
        scene.deliver(under_way)
        assert len(scene.claim()) == 2

    def test_a_success_that_was_under_way_ends_a_pause_beside_a_failure_too(self, scene: Scene) -> None:
        scene.active()
        several(scene, BREAKER.failures + 2)
        *failing, first, second = scene.claim()
        fail(scene, *failing)
        several(scene, 2)
        good = scene.result(first, DeliveryState.DELIVERED)
        bad = scene.result(second, DeliveryState.PENDING, retry_in_us=60 * SECOND)
        scene.store.record([good, bad], BREAKER)
        assert len(scene.claim()) == 2

    def test_a_failure_that_was_under_way_when_the_pause_began_makes_it_no_longer(self, scene: Scene) -> None:
        under_way = paused(scene)
        several(scene, 2)
        assert not fail(scene, under_way).paused
        scene.clock.advance(30 * LONGER)
        assert len(scene.claim()) == 1

    def test_waiting_for_a_probe_costs_no_attempt(self, scene: Scene) -> None:
        paused(scene)
        delivery = scene.pending()
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        assert (probe.id, probe.attempt_count, probe.elapsed_us) == (delivery.id, 0, 0)

    def test_a_test_that_went_well_is_no_probe(self, scene: Scene) -> None:
        webhook = scene.active()
        break_down(scene)
        scene.store.clear_health(ids(webhook.endpoints))
        several(scene, 2)
        scene.clock.advance(29.9)
        assert scene.claim() == []

    def test_an_endpoint_that_is_enabled_or_moves_starts_without_a_pause(self, scene: Scene) -> None:
        webhook = scene.active()
        for start_anew in (
            lambda: (scene.disable(webhook), scene.enable(webhook)),
            lambda: scene.revise(webhook, endpoints=[evolve(scene.endpoint(webhook), url=OTHER_URL)]),
        ):
            break_down(scene)
            several(scene, 2)
            assert scene.claim() == []
            start_anew()
            claimed = scene.claim()
            assert len(claimed) == 2
            scene.deliver(*claimed)

    def test_without_a_breaker_no_lane_waits(self, scene: Scene) -> None:
        scene.active()
        several(scene, 9)
        claimed = scene.claim(6, 6)
        assert not scene.retry(*claimed[:5]).paused
        assert len(scene.claim()) == 3
        # Not even one that waited while there was one.
        assert fail(scene, claimed[5]).paused
        several(scene, 3)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        scene.retry(probe)
        assert len(scene.claim()) >= 2

    def test_an_endpoint_that_waits_holds_no_other(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        several(scene, 4)
        fail(scene, *[one for one in scene.claim() if one.endpoint_id == webhook.endpoints[0].id])
        several(scene, 2)
        assert {one.endpoint_id for one in scene.claim()} == {webhook.endpoints[1].id}

    def test_limits_hold_beside_pauses(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.1, burst=4, in_flight=3))
        several(scene, 9)
        fail(scene, *scene.claim())
        assert scene.claim() == []
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        scene.deliver(probe)
        assert len(scene.claim()) == 3


def several(scene: Scene, count: int) -> None:
    """Emit and plan so many events."""
    scene.submit(*[scene.event() for _ in range(count)])
    while scene.plan().more:
        pass


def fail(scene: Scene, *claimed: Claimed) -> Recorded:
    """Record a failure for each, which is tried again in an hour."""
    wait = 3600 * SECOND
    return scene.store.record([scene.result(one, DeliveryState.PENDING, retry_in_us=wait) for one in claimed], BREAKER)


def break_down(scene: Scene) -> Claimed:
    """Let the breaker begin a pause; return a delivery that is under way still."""
    several(scene, BREAKER.failures + 1)
    *failing, under_way = scene.claim()
    assert fail(scene, *failing).paused
    return under_way


def paused(scene: Scene) -> Claimed:
    """Store a webhook and let its endpoint fail until its lane is in a pause; one delivery is under way still."""
    scene.active()
    return break_down(scene)
