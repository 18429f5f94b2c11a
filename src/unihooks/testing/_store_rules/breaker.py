"""The rules that every store follows when an endpoint keeps failing and its lane pauses."""

from __future__ import annotations

from attrs import evolve

from unihooks._base.times import SECOND
from unihooks._model.log import DeliveryState
from unihooks._model.policy import CircuitBreaker, DeliveryPolicy
from unihooks.abc import Claimed, Recorded
from unihooks.testing._store_rules.scene import OTHER_URL, URL, Scene, ids

BREAKER = CircuitBreaker(failures=3, pause=30, longest=100)
# A pause takes up to a fifth longer.
LONGER = 1.2


class BreakerRules:
    """The rules of the circuit breaker: pauses after failures in a row, and probes after pauses."""

    def test_a_lane_waits_after_failures_in_a_row(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.several(9)
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

    def test_one_probe_at_a_time_is_sent_after_a_pause(self, scene: Scene) -> None:
        paused(scene)
        oldest = scene.pending()
        scene.clock.advance(1)
        scene.several(5)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        assert probe.id == oldest.id
        assert probe.terms is not None
        assert probe.terms.is_probe
        assert scene.claim() == []
        scene.planned()
        assert scene.claim() == []
        # The worker that was to send it has vanished, or could not.
        scene.clock.advance(30)
        [probe] = scene.claim()
        assert scene.claim() == []
        scene.store.release([probe])
        assert len(scene.claim()) == 1
        assert scene.claim() == []

    def test_a_late_probe_does_not_allow_a_second_one(self, scene: Scene) -> None:
        paused(scene)
        scene.several(5)
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
        scene.several(9)
        for pause in (30, 60, 100, 100):
            scene.clock.advance(pause - 0.1)
            assert scene.claim() == []
            scene.clock.advance(pause * (LONGER - 1) + 0.1)
            [probe] = scene.claim()
            assert fail(scene, probe).paused
            assert scene.claim() == []

    def test_the_first_success_lets_all_go_on(self, scene: Scene) -> None:
        paused(scene)
        scene.several(5)
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
        scene.several(5)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        good = scene.result(probe, DeliveryState.DELIVERED)
        bad = scene.result(other, DeliveryState.PENDING, retry_in_us=60 * SECOND)
        assert not scene.store.record([good, bad], BREAKER).paused
        assert len(scene.claim()) == 4

    def test_a_success_that_was_under_way_when_the_pause_began_ends_it(self, scene: Scene) -> None:
        under_way = paused(scene)
        scene.several(2)
        assert scene.claim() == []
        scene.deliver(under_way)
        assert len(scene.claim()) == 2

    def test_a_success_that_was_under_way_ends_a_pause_beside_a_failure_too(self, scene: Scene) -> None:
        scene.active()
        scene.several(BREAKER.failures + 2)
        *failing, first, second = scene.claim()
        fail(scene, *failing)
        scene.several(2)
        good = scene.result(first, DeliveryState.DELIVERED)
        bad = scene.result(second, DeliveryState.PENDING, retry_in_us=60 * SECOND)
        scene.store.record([good, bad], BREAKER)
        assert len(scene.claim()) == 2

    def test_a_failure_in_flight_when_the_pause_began_does_not_lengthen_it(self, scene: Scene) -> None:
        under_way = paused(scene)
        scene.several(2)
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
        scene.several(2)
        scene.clock.advance(29.9)
        assert scene.claim() == []

    def test_an_endpoint_that_is_enabled_or_moves_starts_without_a_pause(self, scene: Scene) -> None:
        webhook = scene.active()
        for start_anew in (
            lambda: (scene.disable(webhook), scene.enable(webhook)),
            lambda: scene.revise(webhook, endpoints=[evolve(scene.endpoint(webhook), url=OTHER_URL)]),
        ):
            break_down(scene)
            scene.several(2)
            assert scene.claim() == []
            start_anew()
            claimed = scene.claim()
            assert len(claimed) == 2
            scene.deliver(*claimed)

    def test_without_a_breaker_no_lane_waits(self, scene: Scene) -> None:
        scene.active()
        scene.several(9)
        claimed = scene.claim(6, 6)
        assert not scene.retry(*claimed[:5]).paused
        assert len(scene.claim()) == 3
        # Not even one that waited while there was a breaker.
        assert fail(scene, claimed[5]).paused
        scene.several(3)
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        scene.retry(probe)
        assert len(scene.claim()) >= 2

    def test_an_endpoint_that_waits_holds_no_other(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.several(4)
        fail(scene, *[one for one in scene.claim() if one.endpoint_id == webhook.endpoints[0].id])
        scene.several(2)
        assert {one.endpoint_id for one in scene.claim()} == {webhook.endpoints[1].id}

    def test_limits_hold_beside_pauses(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.1, burst=4, in_flight=3))
        scene.several(9)
        fail(scene, *scene.claim())
        assert scene.claim() == []
        scene.clock.advance(30 * LONGER)
        [probe] = scene.claim()
        scene.deliver(probe)
        assert len(scene.claim()) == 3


def fail(scene: Scene, *claimed: Claimed) -> Recorded:
    """Record a failure for each, which is tried again in an hour."""
    wait = 3600 * SECOND
    return scene.store.record([scene.result(one, DeliveryState.PENDING, retry_in_us=wait) for one in claimed], BREAKER)


def break_down(scene: Scene) -> Claimed:
    """Make the breaker begin a pause; return a delivery that is still in flight."""
    scene.several(BREAKER.failures + 1)
    *failing, under_way = scene.claim()
    assert fail(scene, *failing).paused
    return under_way


def paused(scene: Scene) -> Claimed:
    """Store a webhook and make its endpoint fail until its lane pauses; one delivery is still in flight."""
    scene.active()
    return break_down(scene)
