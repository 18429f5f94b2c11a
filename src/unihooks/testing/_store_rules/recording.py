"""The rules that every store follows when it records results: fencing, attempts, health."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import evolve

from unihooks._base.times import SECOND, from_us
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import EndpointState
from unihooks.abc import FAILING_TOO_LONG, Window
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, URL, Scene, ids


class RecordingRules:
    """The rules of `record`."""

    def test_a_success_ends_the_delivery(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        recorded = scene.deliver(claimed)
        assert (list(recorded.accepted), list(recorded.disabled)) == ([claimed.id], [])
        delivery = scene.delivery(claimed.id)
        assert (delivery.state, delivery.attempt_count, delivery.reason) == (DeliveryState.DELIVERED, 1, None)
        assert (delivery.next_attempt_at, delivery.held) == (None, False)
        scene.clock.advance(60)
        assert scene.claim() == []

    def test_a_failure_with_a_retry_is_due_at_its_time(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.clock.advance(2)
        scene.retry(claimed, after=300)
        delivery = scene.delivery(claimed.id)
        assert (delivery.state, delivery.attempt_count, delivery.reason) == (DeliveryState.PENDING, 1, None)
        assert delivery.next_attempt_at == scene.clock() + timedelta(seconds=300)

    def test_a_last_failure_ends_the_delivery_with_its_reason(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.fail(claimed)
        delivery = scene.delivery(claimed.id)
        assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "no retry is left")
        assert delivery.next_attempt_at is None

    def test_an_attempt_is_kept_as_it_was_recorded(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        started_at = scene.store.now()
        scene.deliver(claimed)
        [attempt] = scene.attempts(claimed.id)
        assert attempt.id
        assert (attempt.delivery_id, attempt.number, attempt.url) == (claimed.id, 1, URL)
        assert (attempt.started_at, attempt.duration_ms) == (from_us(started_at), 1.5)
        assert (attempt.status_code, attempt.error) == (200, None)
        assert attempt.request_headers == (("webhook-id", claimed.event_id),)
        assert attempt.response_headers == (("x-seen", "yes"), ("x-seen", "twice"))
        assert (attempt.response_body, attempt.warnings) == (b"\x00thanks", ("slow",))

    def test_attempts_are_listed_newest_first_within_a_window(self, scene: Scene) -> None:
        scene.active()
        scene.pending()
        for _ in range(11):
            [claimed] = scene.claim()
            scene.retry(claimed, after=0)
        attempts = scene.attempts(claimed.id)
        assert [one.number for one in attempts] == list(range(11, 0, -1))
        assert len(set(ids(attempts))) == 11
        assert (attempts[0].status_code, attempts[0].error) == (None, "timed out")

        def listed(**edge: Any) -> list[int]:
            return [one.number for one in scene.attempts(claimed.id, window=Window(limit=2, **edge))]

        assert listed() == [11, 10]
        assert listed(older_than="10") == [9, 8]
        assert listed(newer_than="8") == [10, 9]
        assert listed(older_than="1") == []

    def test_many_results_are_recorded_together(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.submit(*[scene.event() for _ in range(50)])
        claimed = scene.plan(capacity=100).claimed
        assert set(scene.deliver(*claimed).accepted) == set(ids(claimed))
        assert len(scene.deliveries(state=DeliveryState.DELIVERED)) == 100
        assert list(scene.store.record([]).accepted) == []

    # Requests of the receiver.

    def test_a_receiver_that_wants_no_request_gets_none_before_its_time(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.submit(*[scene.event() for _ in range(3)])
        first, second, *others = sorted(scene.plan(capacity=100).claimed, key=lambda one: one.endpoint_id)
        scene.busy(first, seconds=600)
        scene.store.release([second, *others])
        assert {one.endpoint_id for one in scene.claim()} == {others[-1].endpoint_id}
        scene.clock.advance(599)
        assert first.endpoint_id not in {one.endpoint_id for one in scene.claim()}
        scene.clock.advance(1)
        assert [one.endpoint_id for one in scene.claim()].count(first.endpoint_id) == 3

    def test_planning_leases_nothing_for_an_endpoint_with_retry_after(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.emit()
        busy, other = scene.plan(capacity=100).claimed
        scene.busy(busy, seconds=600)
        until = scene.clock() + timedelta(seconds=600)
        emitted = scene.emit()
        [claimed] = scene.plan(capacity=100).claimed
        assert claimed.endpoint_id == other.endpoint_id
        waiting = [one for one in scene.deliveries(event_id=emitted.id) if one.endpoint_id == busy.endpoint_id]
        assert [one.next_attempt_at for one in waiting] == [until]
        scene.clock.advance(601)
        scene.emit()
        assert len(scene.plan(capacity=100).claimed) == 2

    def test_a_lane_that_waits_is_due_when_its_time_has_come(self, scene: Scene) -> None:
        scene.active()
        for _ in range(2):
            scene.emit()
        claimed, other = scene.plan(capacity=100).claimed
        scene.busy(claimed, seconds=600, last=True)
        until = scene.store.now() + 600 * SECOND
        scene.store.release([other])
        assert scene.store.work().next_due == until
        scene.clock.advance(600)
        [claimed] = scene.claim()
        scene.busy(claimed, seconds=600, last=True)
        scene.clock.advance(600)
        assert scene.claim() == []
        assert scene.store.work().next_due is None

    def test_the_later_of_two_retry_after_times_counts(self, scene: Scene) -> None:
        scene.active()
        for _ in range(3):
            scene.emit()
        first, second, third = scene.plan(capacity=100).claimed
        scene.busy(first, seconds=600)
        scene.busy(second, seconds=60)
        scene.deliver(third)
        scene.clock.advance(599)
        assert scene.claim() == []
        scene.clock.advance(1)
        assert len(scene.claim()) == 2

    def test_a_replay_waits_too(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.busy(claimed, seconds=600, last=True)
        scene.store.replay(ACME, claimed.id)
        assert scene.claim() == []
        scene.clock.advance(600)
        assert len(scene.claim()) == 1

    def test_a_new_url_need_not_wait_for_the_old_one(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.busy(scene.claimed(), seconds=600, after=0)
        endpoint = scene.endpoint(webhook)
        scene.revise(webhook, endpoints=[evolve(endpoint, description="as it was")])
        assert scene.claim() == []
        scene.revise(webhook, endpoints=[evolve(endpoint, url=OTHER_URL)])
        assert len(scene.claim()) == 1

    # Fencing.

    def test_a_late_result_counts_until_someone_else_has_claimed(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.clock.advance(3_600)
        assert list(scene.deliver(claimed).accepted) == [claimed.id]
        assert scene.delivery(claimed.id).state is DeliveryState.DELIVERED
        assert scene.claim() == []

    def test_a_late_result_is_dropped_after_someone_else_has_claimed(self, scene: Scene) -> None:
        scene.active()
        first = scene.claimed()
        scene.clock.advance(31)
        [second] = scene.claim()
        assert list(scene.fail(first, disable="410 Gone").accepted) == []
        assert scene.attempts(first.id) == []
        assert scene.delivery(first.id).state is DeliveryState.PENDING
        assert scene.store.destinations([first.endpoint_id])[first.endpoint_id].open
        assert list(scene.deliver(second).accepted) == [second.id]

    def test_a_result_is_recorded_once(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.retry(claimed)
        assert list(scene.retry(claimed).accepted) == []
        assert len(scene.attempts(claimed.id)) == 1

    def test_the_first_of_several_results_with_a_valid_token_counts(self, scene: Scene) -> None:
        scene.active()
        late, other = scene.claimed(), scene.claimed()
        scene.clock.advance(31)
        held = {one.id: one for one in scene.claim()}[late.id]
        assert set(scene.deliver(late, other, held, held).accepted) == {held.id}
        assert (len(scene.attempts(held.id)), scene.delivery(held.id).state) == (1, DeliveryState.DELIVERED)
        assert scene.delivery(other.id).state is DeliveryState.PENDING

    def test_only_results_with_a_valid_token_count(self, scene: Scene) -> None:
        scene.active()
        scene.submit(*[scene.event() for _ in range(12)])
        cancelled, released, recorded, *good = scene.plan(capacity=12).claimed
        scene.store.cancel(ACME, cancelled.id, "by hand")
        scene.store.release([released])
        scene.deliver(recorded)
        assert set(scene.deliver(cancelled, released, recorded, *good).accepted) == set(ids(good))
        assert {one.id for one in scene.deliveries(state=DeliveryState.PENDING)} == {released.id}
        assert scene.delivery(cancelled.id).state is DeliveryState.CANCELLED
        assert [len(scene.attempts(one.id)) for one in (cancelled, released, recorded, good[0])] == [1, 0, 1, 1]

    def test_a_result_counts_while_its_lane_is_closed(self, scene: Scene) -> None:
        webhook = scene.active()
        claimed, retried = scene.claimed(), scene.claimed()
        scene.deactivate(webhook)
        scene.deliver(claimed)
        scene.retry(retried, after=0)
        assert scene.delivery(claimed.id).state is DeliveryState.DELIVERED
        assert scene.delivery(retried.id).held
        assert scene.claim() == []
        scene.activate(webhook)
        assert ids(scene.claim()) == [retried.id]

    def test_a_result_after_the_webhook_was_deleted_is_dropped(self, scene: Scene) -> None:
        webhook = scene.active()
        claimed = scene.claimed()
        scene.store.delete_webhook(ACME, webhook.id)
        assert list(scene.deliver(claimed).accepted) == []

    # Health.

    def test_an_endpoint_with_nothing_but_failures_for_5_days_is_disabled(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        for days in (0, 1.5, 1.5, 1.5):
            scene.clock.advance(days * DAY)
            assert list(scene.retry(*scene.claim(), after=0).disabled) == []
        scene.clock.advance(0.5 * DAY)
        recorded = scene.retry(*scene.claim(), after=0)
        [endpoint] = webhook.endpoints
        assert list(recorded.disabled) == [(ACME, webhook.id, endpoint.id)]
        disabled = scene.endpoint(webhook)
        assert (disabled.state, disabled.disabled_reason) == (EndpointState.DISABLED, FAILING_TOO_LONG)
        assert disabled.disabled_at == scene.clock()
        assert [one.held for one in scene.deliveries()] == [True]
        assert scene.claim() == []

    def test_a_success_between_clears_the_endpoints_health(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.retry(*scene.claim(), after=0)
        assert scene.store.statistics().failing_endpoints == 1
        scene.clock.advance(4 * DAY)
        scene.deliver(*scene.claim())
        assert scene.store.statistics().failing_endpoints == 0
        scene.pending()
        for _ in range(4):
            scene.clock.advance(1 * DAY)
            scene.retry(*scene.claim(), after=0)
        assert scene.endpoint(webhook).enabled

    def test_a_silence_of_more_than_36_hours_starts_the_count_of_failures_anew(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.failing_for(days=4.5)
        scene.clock.advance(1.6 * DAY)
        scene.retry(*scene.claim(), after=0)
        assert (scene.endpoint(webhook).enabled, scene.health(webhook).failures) == (True, 1)
        assert scene.health(webhook).failing_since == scene.clock()
        scene.failing_for(days=4.9)
        assert scene.endpoint(webhook).enabled
        scene.failing_for(days=0.1)
        assert not scene.endpoint(webhook).enabled

    def test_the_first_failure_of_a_delivery_that_is_tried_again_disables_nothing(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.failing_for(days=4.9)
        scene.cancel_all()
        scene.clock.advance(0.2 * DAY)
        fresh = scene.claimed()
        assert list(scene.retry(fresh, after=0).disabled) == []
        assert scene.endpoint(webhook).enabled
        assert len(scene.retry(*scene.claim(), after=0).disabled) == 1

    def test_the_only_failure_of_a_delivery_that_has_no_retry_left_disables(self, scene: Scene) -> None:
        scene.active()
        scene.pending()
        scene.failing_for(days=4.9)
        scene.cancel_all()
        scene.clock.advance(0.2 * DAY)
        assert len(scene.fail(scene.claimed()).disabled) == 1

    def test_an_endpoint_with_a_new_origin_starts_with_fresh_health(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.failing_for(days=4.9)
        scene.revise(webhook, endpoints=[evolve(webhook.endpoints[0], url=f"{URL}/v2")])
        assert scene.health(webhook).failing, "only the path is new"
        scene.revise(webhook, endpoints=[evolve(webhook.endpoints[0], url=OTHER_URL)])
        health = scene.health(webhook)
        assert (health.state, health.failing_since, health.failures) == (HealthState.HEALTHY, None, 0)
        scene.failing_for(days=1)
        assert scene.endpoint(webhook).enabled

    def test_health_that_is_cleared_starts_the_count_of_failures_anew(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        first, second = webhook.endpoints
        scene.planned()
        scene.failing_for(days=4.9)
        scene.store.clear_health([first.id])
        scene.store.clear_health([])
        assert [scene.health(webhook, one).failing for one in (first, second)] == [False, True]
        scene.failing_for(days=0.2)
        assert [one.enabled for one in scene.store.get_webhook(ACME, webhook.id).endpoints] == [True, False]

    def test_time_held_is_not_time_failing(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.retry(*scene.claim(), after=0)
        scene.deactivate(webhook)
        scene.clock.advance(6 * DAY)
        scene.activate(webhook)
        scene.retry(*scene.claim(), after=0)
        scene.failing_for(days=4.9)
        assert scene.endpoint(webhook).enabled
        scene.failing_for(days=0.1)
        assert not scene.endpoint(webhook).enabled

    def test_a_result_that_says_so_disables_the_endpoint_and_holds_its_siblings(self, scene: Scene) -> None:
        webhook = scene.active()
        gone, waiting = scene.claimed(), scene.pending()
        recorded = scene.fail(gone, disable="410 Gone")
        [endpoint] = webhook.endpoints
        assert list(recorded.disabled) == [(ACME, webhook.id, endpoint.id)]
        disabled = scene.endpoint(webhook)
        assert (disabled.state, disabled.disabled_reason) == (EndpointState.DISABLED, "410 Gone")
        assert scene.delivery(gone.id).state is DeliveryState.FAILED
        assert (scene.delivery(waiting.id).state, scene.delivery(waiting.id).held) == (DeliveryState.PENDING, True)
        scene.enable(webhook)
        assert ids(scene.claim()) == [waiting.id]

    def test_an_endpoint_is_disabled_only_while_it_has_the_url_of_the_attempt(self, scene: Scene) -> None:
        webhook = scene.active()
        claimed = scene.claimed()
        scene.revise(webhook, endpoints=[evolve(webhook.endpoints[0], url=OTHER_URL)])
        recorded = scene.fail(claimed, disable="410 Gone", url=URL)
        assert (list(recorded.accepted), list(recorded.disabled)) == ([claimed.id], [])
        assert scene.endpoint(webhook).enabled
        assert scene.delivery(claimed.id).state is DeliveryState.FAILED

    def test_an_endpoint_is_disabled_once(self, scene: Scene) -> None:
        scene.active()
        scene.pending()
        scene.pending()
        assert len(scene.fail(*scene.claim(), disable="410 Gone").disabled) == 1

    def test_disabling_an_endpoint_does_not_affect_the_rest_of_the_webhook(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.emit()
        claimed = next(one for one in scene.plan(capacity=2).claimed if one.endpoint_id == webhook.endpoints[0].id)
        scene.fail(claimed, disable="410 Gone")
        now = scene.store.get_webhook(ACME, webhook.id)
        assert (now.status, now.secrets, now.interval) == (webhook.status, webhook.secrets, webhook.interval)
        assert now.endpoints[1] == webhook.endpoints[1]
        scene.emit()
        assert scene.plan().deliveries == 1
