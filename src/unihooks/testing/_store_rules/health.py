"""The rules that every store follows when it reports the health of endpoints, and why deliveries wait."""

from __future__ import annotations

from datetime import timedelta

from unihooks._model.health import BreakerState, Counts, EndpointHealth, HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Webhook
from unihooks.abc import Recorded
from unihooks.testing._store_rules.breaker import LONGER, break_down
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids

HEALTHY, DEGRADED, FAILING, DISABLED = HealthState
_FIVE_MINUTES = 300


class HealthRules:
    """The rules of an endpoint's health and of what makes deliveries wait."""

    def test_an_endpoint_without_attempts_is_healthy(self, scene: Scene) -> None:
        webhook = scene.active()
        [endpoint] = webhook.endpoints
        assert scene.endpoint(webhook).health == EndpointHealth(endpoint_id=endpoint.id)
        assert _state(scene, webhook) is HEALTHY
        assert endpoint.health.breaker is BreakerState.CLOSED

    def test_of_few_attempts_in_the_hour_the_last_20_count(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, good=30)
        scene.clock.advance(2 * 3_600)
        _attempts(scene, bad=1)
        assert _state(scene, webhook) is HEALTHY, "19 of 20"
        assert scene.endpoint(webhook).health.last_hour == Counts(1, 0)
        _attempts(scene, bad=1)
        assert _state(scene, webhook) is DEGRADED, "18 of 20"
        _attempts(scene, bad=8)
        assert _state(scene, webhook) is DEGRADED, "10 of 20"
        _attempts(scene, bad=1)
        assert _state(scene, webhook) is FAILING, "9 of 20"

    def test_of_many_attempts_all_of_the_last_hour_count(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, bad=5, good=95)
        assert _state(scene, webhook) is HEALTHY, "95 of 100"
        _attempts(scene, bad=1)
        health = scene.endpoint(webhook).health
        assert (health.state, health.last_hour) == (DEGRADED, Counts(101, 95))
        scene.clock.advance(3_600)
        assert scene.endpoint(webhook).health.last_hour == Counts(0, 0)
        assert _state(scene, webhook) is HEALTHY, "19 of the last 20"

    def test_nothing_but_failures_is_failing_from_the_first_one(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, bad=1)
        assert _state(scene, webhook) is FAILING
        _attempts(scene, good=1)
        assert _state(scene, webhook) is DEGRADED

    def test_an_hour_is_the_last_60_minutes_in_steps_of_5(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, good=3)
        for _ in range(11):
            scene.clock.advance(_FIVE_MINUTES)
            assert scene.endpoint(webhook).health.last_hour.attempts == 3
        _attempts(scene, bad=1)
        scene.clock.advance(_FIVE_MINUTES)
        assert scene.endpoint(webhook).health.last_hour == Counts(1, 0)

    def test_the_last_day_counts_the_hours_before_this_one_too(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, good=3)
        scene.clock.advance(23 * 3_600)
        _attempts(scene, bad=1)
        assert scene.endpoint(webhook).health.last_day == Counts(4, 3)
        scene.clock.advance(2 * 3_600)
        assert scene.endpoint(webhook).health.last_day == Counts(1, 0)

    def test_counts_are_the_same_before_and_after_parts_of_hours_are_merged(self, scene: Scene) -> None:
        webhook = scene.active()
        for _ in range(3):
            _attempts(scene, good=1, bad=1)
            scene.clock.advance(_FIVE_MINUTES)
        scene.clock.advance(3_600)
        before = scene.endpoint(webhook).health
        assert before.last_day == Counts(6, 3)
        scene.store.fold_hours(scene.store.now() - 3_600_000_000, 100)
        scene.clock.advance(3_600)
        scene.store.fold_hours(scene.store.now() - 3_600_000_000, 100)
        assert scene.endpoint(webhook).health.last_day == before.last_day

    def test_webhooks_come_with_the_health_of_their_endpoints_wherever_they_are_read(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        first, second = scene.claim_of_each(webhook)
        scene.deliver(first)
        scene.retry(second)
        expected = [HEALTHY, FAILING]
        [listed] = scene.webhooks()
        revised = scene.revise(webhook, description="x")
        for read in (scene.store.get_webhook(ACME, webhook.id), listed, revised):
            assert [one.health.state for one in read.endpoints] == expected
        assert [one.endpoint_id for one in scene.store.webhook_health(ACME, [webhook.id])[webhook.id].endpoints] == ids(
            webhook.endpoints
        )

    def test_a_disabled_endpoint_is_that_and_starts_afresh_when_it_is_enabled(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, bad=30)
        disabled = scene.disable(webhook).health
        assert (disabled.state, disabled.failures) == (DISABLED, 30)
        assert scene.endpoint(webhook).health.state is DISABLED
        scene.enable(webhook)
        health = scene.endpoint(webhook).health
        assert (health.state, health.failures, health.failing_since) == (HEALTHY, 0, None)
        assert (health.last_hour, health.last_day) == (Counts(0, 0), Counts(30, 0))
        scene.cancel_all()
        _attempts(scene, good=25)
        assert scene.endpoint(webhook).health.last_hour == Counts(25, 25)

    def test_a_successful_test_resets_unhealthy_endpoints_but_not_failures_in_a_row(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, bad=3)
        scene.store.clear_health(ids(webhook.endpoints))
        health = scene.endpoint(webhook).health
        assert (health.state, health.failing_since, health.failures) == (HEALTHY, None, 3)
        scene.clock.advance(60)
        _attempts(scene, bad=1)
        health = scene.endpoint(webhook).health
        assert (health.state, health.failing_since, health.failures) == (FAILING, scene.clock(), 4)

    def test_a_test_leaves_the_counts_of_a_healthy_endpoint(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, good=25, bad=1)
        scene.store.clear_health(ids(webhook.endpoints))
        health = scene.endpoint(webhook).health
        assert (health.failing_since, health.last_hour) == (None, Counts(26, 25))

    # Changes of health.

    def test_a_change_of_health_is_reported_when_it_is_recorded(self, scene: Scene) -> None:
        webhook = scene.active()
        where = (ACME, webhook.id, webhook.endpoints[0].id)
        assert _changes(_attempts(scene, good=1)) == []
        assert _changes(_attempts(scene, bad=1)) == [(*where, HEALTHY, DEGRADED)]
        assert _changes(_attempts(scene, bad=1)) == [(*where, DEGRADED, FAILING)]
        assert _changes(_attempts(scene, bad=3)) == []
        assert _changes(_attempts(scene, good=4)) == [(*where, FAILING, DEGRADED)], "5 of 10"
        assert _changes(_attempts(scene, good=60)) == []
        assert _changes(_attempts(scene, good=30)) == [(*where, DEGRADED, HEALTHY)], "95 of 100"
        assert _changes(_attempts(scene, good=1)) == []

    def test_a_change_is_reported_to_one_of_several_recorders(self, scene: Scene) -> None:
        scene.active()
        scene.submit(*[scene.event() for _ in range(4)])
        first, second, *others = scene.plan(capacity=4).claimed
        assert len(_changes(scene.retry(first))) == 1
        assert _changes(scene.retry(second)) == []
        assert len(_changes(scene.deliver(*others))) == 1

    def test_successes_among_failures_of_others_are_counted(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        good, bad = scene.claim_of_each(webhook)
        results = [
            scene.result(good, DeliveryState.DELIVERED),
            scene.result(bad, DeliveryState.PENDING, retry_in_us=0),
        ]
        [change] = scene.store.record(results).changed_health
        assert (change.endpoint_id, change.before, change.after) == (bad.endpoint_id, HEALTHY, FAILING)
        healths = [one.health for one in scene.store.get_webhook(ACME, webhook.id).endpoints]
        assert [one.last_hour for one in healths] == [Counts(1, 1), Counts(1, 0)]

    def test_many_successes_at_once_are_all_counted(self, scene: Scene) -> None:
        webhook = scene.active()
        _attempts(scene, bad=5)
        scene.clock.advance(3 * 3_600)
        scene.cancel_all()
        scene.submit(*[scene.event() for _ in range(15)])
        scene.deliver(*scene.plan(capacity=15).claimed)
        assert _state(scene, webhook) is DEGRADED, "15 of 20"
        scene.submit(*[scene.event() for _ in range(4)])
        scene.deliver(*scene.plan(capacity=15).claimed)
        assert _state(scene, webhook) is HEALTHY, "19 of 20"

    def test_webhooks_are_narrowed_by_the_health_of_their_endpoints(self, scene: Scene) -> None:
        well = scene.active(tenant=ACME)
        degraded = scene.settled("paid", good=1, bad=1)
        failing = scene.settled("refunded", bad=1)
        off = scene.active()
        scene.disable(off)
        for health, found in ((HEALTHY, well), (DEGRADED, degraded), (FAILING, failing), (DISABLED, off)):
            listed = scene.webhooks(health=(health,))
            assert ids(listed) == [found.id], health
        assert scene.store.statistics().failing_endpoints == len(scene.store.failing_endpoints(9)) == 1
        scene.disable(failing)
        assert scene.store.statistics().failing_endpoints == len(scene.store.failing_endpoints(9)) == 0

    # Why deliveries wait.

    def test_a_delivery_says_until_when_it_waits_and_why(self, scene: Scene) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        assert delivery.waiting is None
        [claimed] = scene.claim()
        assert scene.delivery(delivery.id).waiting is None, "it is under way"
        wait = 60_000_000
        reason = "the endpoint returned 503"
        scene.store.record([scene.result(claimed, DeliveryState.PENDING, retry_in_us=wait, reason=reason)])
        until = f"{scene.clock() + timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}"
        assert scene.delivery(delivery.id).waiting == f"waits until {until}: {reason}"
        scene.deactivate(webhook)
        assert scene.delivery(delivery.id).waiting == "on hold: the webhook is inactive"
        scene.activate(webhook)
        scene.disable(webhook)
        assert scene.delivery(delivery.id).waiting == "on hold: the endpoint is disabled: by hand"
        scene.enable(webhook)
        scene.clock.advance(60)
        assert scene.delivery(delivery.id).waiting is None
        scene.store.cancel(ACME, delivery.id, "by hand")
        assert scene.delivery(delivery.id).waiting is None

    def test_retry_after_is_shown_at_the_endpoint_and_its_deliveries(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.several(2)
        claimed, other = scene.claim()
        scene.busy(claimed, seconds=600)
        scene.store.release([other])
        until = scene.clock() + timedelta(seconds=600)
        assert scene.endpoint(webhook).health.not_before == until
        sentence = f"waits until {until:%Y-%m-%dT%H:%M:%SZ}: the endpoint asked for a pause with Retry-After"
        assert {one.waiting for one in scene.deliveries()} == {sentence}
        scene.clock.advance(600)
        assert scene.endpoint(webhook).health.not_before is None
        assert {one.waiting for one in scene.deliveries()} == {None}

    def test_a_pause_of_the_breaker_is_shown_at_the_endpoint_and_its_deliveries(self, scene: Scene) -> None:
        webhook = scene.active()
        break_down(scene)
        waiting = scene.pending()
        health = scene.endpoint(webhook).health
        assert health.breaker is BreakerState.OPEN
        assert health.next_probe_at == health.not_before is not None
        until = f"{health.not_before:%Y-%m-%dT%H:%M:%SZ}"
        assert waiting.waiting == f"waits until {until}: the endpoint failed 3 times in a row"
        scene.clock.advance(30 * LONGER)
        health = scene.endpoint(webhook).health
        assert (health.breaker, health.not_before) == (BreakerState.HALF_OPEN, None)
        [probe] = scene.claim(1)
        others = {
            one.id: one.waiting for one in scene.deliveries(state=DeliveryState.PENDING) if one.attempt_count == 0
        }
        assert others.pop(probe.id) is None
        assert all(sentence and sentence.endswith("3 times in a row") for sentence in others.values())
        scene.deliver(probe)
        health = scene.endpoint(webhook).health
        assert (health.breaker, health.next_probe_at, health.failures) == (BreakerState.CLOSED, None, 0)

    def test_a_delivery_that_waits_for_its_policy_says_so(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(rate=0.5))
        scene.several(2)
        [claimed] = scene.claim()
        waiting = {one.id: one.waiting for one in scene.deliveries()}
        assert waiting.pop(claimed.id) is None
        until = f"{scene.clock() + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}"
        assert list(waiting.values()) == [f"waits until {until}: the webhook's policy allows at most 0.5 per second"]


def _state(scene: Scene, webhook: Webhook) -> HealthState:
    """Return the state of the webhook's only endpoint, after a check that all sources agree."""
    shown = scene.endpoint(webhook).health
    assert scene.health(webhook) == shown
    return shown.state


def _attempts(scene: Scene, *, bad: int = 0, good: int = 0) -> list[Recorded]:
    """Record failures and then successes one by one; failures are tried again in a year."""
    return [
        *(scene.retry(scene.claimed(), after=365 * 86_400) for _ in range(bad)),
        *(scene.deliver(scene.claimed()) for _ in range(good)),
    ]


def _changes(recorded: Recorded | list[Recorded]) -> list[tuple[str, str, str, HealthState, HealthState]]:
    every = [recorded] if isinstance(recorded, Recorded) else recorded
    return [tuple(change) for one in every for change in one.changed_health]  # type: ignore[misc] # of five parts
