"""The rules that every store follows when it reports the activity of webhooks and sorts webhooks by their health."""

# ruff: noqa: S101 - a test's name is the rule, it asserts, and a literal is what is expected

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from unihooks._contract.activity import (
    HOUR,
    SLICE,
    ActivityRows,
    EndpointRow,
    HourRow,
    StatusFailures,
    TypeFailures,
    slice_of,
)
from unihooks._contract.filters import WebhookFilter
from unihooks._contract.histogram import BOUNDS_MS
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Endpoint, EndpointState, EventSubscription, Webhook
from unihooks.abc import Claimed, Result, Window
from unihooks.exceptions import NotFound
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids

_FIVE_MINUTES = 300


class ActivityRules:
    """The rules of what was sent to a webhook, of what failed there, and of the order by health."""

    def test_attempts_are_counted_by_how_long_they_took(self, scene: Scene) -> None:
        webhook = scene.active(URL)
        for milliseconds in (1, 3, 1_000, 70_000):
            scene.store.record([_took(scene, scene.claimed(), milliseconds)])
        now = scene.store.now()
        within = tuple(sum(one <= bound for one in (1, 3, 1_000, 70_000)) for bound in BOUNDS_MS)
        found = scene.store.webhook_activity(ACME, webhook.id, now)
        [endpoint] = webhook.endpoints
        assert found.slices == [HourRow(now // HOUR, 4, 4, 0, slice_of(now))]
        assert found.endpoints == [EndpointRow(endpoint.id, 4, 4, 0, (1 + 3 + 1_000 + 70_000) * 1_000, within)]
        later = scene.store.webhook_activity(ACME, webhook.id, now + SLICE)
        assert (later.slices, later.endpoints) == ([], [])

    def test_attempts_are_counted_for_each_present_endpoint(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        first, second = webhook.endpoints
        for settle in (scene.deliver, scene.retry):
            good, other = scene.claim_of_each(webhook)
            scene.deliver(good)
            settle(other)
        found = {one.endpoint_id: one for one in _since_yesterday(scene, webhook).endpoints}
        counts = {id_: (one.attempts, one.delivered, one.failed) for id_, one in found.items()}
        assert counts == {first.id: (2, 2, 0), second.id: (2, 1, 1)}
        scene.revise(webhook, endpoints=[first])
        assert [one.endpoint_id for one in _since_yesterday(scene, webhook).endpoints] == [first.id]

    def test_attempts_of_the_last_hour_are_counted_in_steps_of_5_minutes(self, scene: Scene) -> None:
        webhook = scene.active()
        for _ in range(15):
            scene.deliver(scene.claimed())
            scene.clock.advance(_FIVE_MINUTES)
        since = scene.store.now() // SLICE * SLICE - 11 * SLICE
        found = scene.store.webhook_activity(ACME, webhook.id, since).slices
        begun = [one.hour * HOUR + one.slice * SLICE for one in found]
        assert begun == [since + step * SLICE for step in range(11)]
        assert {one.attempts for one in found} == {1}

    def test_separate_counts_of_workers_are_summed_before_and_after_they_are_merged(self, scene: Scene) -> None:
        webhook = scene.active()
        for worker_id in ("a", "b", "c"):
            scene.store.heartbeat(worker_id)
            scene.store.record([_took(scene, scene.claimed(), 3)])
        since = scene.store.now() // HOUR * HOUR
        before = scene.store.webhook_activity(ACME, webhook.id, since)
        [counted] = before.slices
        assert (counted.attempts, counted.delivered, before.endpoints[0].duration_us) == (3, 3, 9_000)
        scene.clock.advance(7_200)
        while scene.store.fold_hours(scene.store.now(), 1):
            pass
        after = scene.store.webhook_activity(ACME, webhook.id, since)
        assert after.slices == [evolve(counted, slice=0)]
        assert after.endpoints == before.endpoints

    def test_activity_and_failures_of_anothers_webhook_are_not_found(self, scene: Scene) -> None:
        webhook = scene.active(tenant="other")
        for wanted in (webhook.id, "whk_nobodys"):
            with pytest.raises(NotFound):
                scene.store.webhook_activity(ACME, wanted, 0)
            with pytest.raises(NotFound):
                scene.store.webhook_failures(ACME, wanted, 0, 10)

    # Failures.

    def test_failures_and_retries_are_counted_by_last_response_and_event_type(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.inactive()
        since = scene.store.now()
        for event_type, code, state in (
            ("paid", 429, DeliveryState.PENDING),
            ("paid", 429, DeliveryState.FAILED),
            ("refunded", None, DeliveryState.FAILED),
        ):
            scene.store.record([_answered(scene, scene.claimed(event_type=event_type), code, state)])
        scene.deliver(scene.claimed())
        scene.pending(event_type="never tried")
        found = scene.store.webhook_failures(ACME, webhook.id, since, 10)
        assert (found.count, found.ended, found.more) == (3, 2, False)
        assert found.by_status == (StatusFailures(status_code=429, count=2), StatusFailures(status_code=None, count=1))
        assert found.by_type == (
            TypeFailures(product="shop", event_type="paid", count=2),
            TypeFailures(product="shop", event_type="refunded", count=1),
        )
        assert scene.store.webhook_failures(ACME, webhook.id, scene.store.now() + 1, 10).count == 0

    def test_of_many_failures_the_newest_are_counted(self, scene: Scene) -> None:
        webhook = scene.active()
        for event_type in ("old", "new", "new"):
            scene.fail(scene.claimed(event_type=event_type))
            scene.clock.advance(1)
        found = scene.store.webhook_failures(ACME, webhook.id, 0, 2)
        assert (found.count, found.more) == (2, True)
        assert [one.event_type for one in found.by_type] == ["new"]

    # Sorting by health.

    def test_webhooks_that_need_somebody_come_first_in_the_order_by_health(self, scene: Scene) -> None:
        expected = ids([made(scene) for made in (_failing, _degraded, _disabled, _healthy, _half_disabled, _unused)])
        # Among equal health, the newest comes first.
        expected[3:5] = expected[4], expected[3]
        found = scene.store.webhooks_by_health(ACME, WebhookFilter(), Window(limit=9))
        assert ids([webhook for _, webhook in found]) == expected
        places = [place for place, _ in found]
        for limit in (1, 2, 3):
            for at in range(len(places)):
                after = scene.store.webhooks_by_health(ACME, WebhookFilter(), _window(limit, older_than=places[at]))
                assert ids([one for _, one in after]) == expected[at + 1 : at + 1 + limit]
                before = scene.store.webhooks_by_health(ACME, WebhookFilter(), _window(limit, newer_than=places[at]))
                assert ids([one for _, one in before]) == expected[max(0, at - limit) : at]

    def test_the_order_by_health_keeps_to_the_filters(self, scene: Scene) -> None:
        failing, healthy = _failing(scene), _healthy(scene)
        found = scene.store.webhooks_by_health(ACME, WebhookFilter(search="no such"), Window(limit=9))
        assert found == []
        scene.revise(healthy, name="Searched")
        searched = WebhookFilter(search="sEARCHED")
        assert ids([one for _, one in scene.store.webhooks_by_health(ACME, searched, Window(limit=9))]) == [healthy.id]
        everyone = scene.store.webhooks_by_health(ACME, WebhookFilter(search="example"), Window(limit=9))
        assert ids([one for _, one in everyone]) == [failing.id, healthy.id]
        wanted = WebhookFilter(health=(HealthState.HEALTHY,))
        assert ids([one for _, one in scene.store.webhooks_by_health(ACME, wanted, Window(limit=9))]) == [healthy.id]
        wanted = WebhookFilter(health=(HealthState.FAILING, HealthState.DEGRADED))
        assert ids([one for _, one in scene.store.webhooks_by_health(ACME, wanted, Window(limit=9))]) == [failing.id]

    def test_webhooks_are_narrowed_by_whether_anything_was_sent(self, scene: Scene) -> None:
        unused, healthy = _unused(scene), _healthy(scene)
        for attempted, found in ((True, healthy), (False, unused)):
            listed = scene.store.list_webhooks(ACME, WebhookFilter(attempted=attempted), Window(limit=9))
            assert ids(listed) == [found.id]


def _window(limit: int, **edge: Any) -> Window:
    return Window(limit=limit, **edge)


def _failing(scene: Scene) -> Webhook:
    return _settled(scene, "failing", bad=1)


def _degraded(scene: Scene) -> Webhook:
    return _settled(scene, "degraded", bad=1, good=1)


def _healthy(scene: Scene) -> Webhook:
    return _settled(scene, "healthy", good=1)


def _disabled(scene: Scene) -> Webhook:
    webhook = _settled(scene, "disabled", bad=1)
    scene.disable(webhook)
    return webhook


def _half_disabled(scene: Scene) -> Webhook:
    """Make a healthy webhook of which a failing endpoint was disabled."""
    webhook = _settled(scene, "half", bad=1)
    scene.disable(webhook)
    other = Endpoint(OTHER_URL, id=f"end_{webhook.id[4:]}")
    scene.store.revise_webhook(ACME, webhook.id, lambda it: evolve(it, endpoints=[*it.endpoints, other]))
    _attempt(scene, webhook, "half", scene.deliver)
    assert scene.endpoint(webhook).state is EndpointState.DISABLED
    return webhook


def _unused(scene: Scene) -> Webhook:
    return scene.active(subscriptions=[EventSubscription("shop", "unused")])


def _settled(scene: Scene, kind: str, *, good: int = 0, bad: int = 0) -> Webhook:
    """Store a webhook for a kind of event, and let so many attempts come in."""
    webhook = scene.active(subscriptions=[EventSubscription("shop", kind)])
    for settle, count in ((scene.retry, bad), (scene.deliver, good)):
        for _ in range(count):
            _attempt(scene, webhook, kind, settle)
    return webhook


def _attempt(scene: Scene, webhook: Webhook, kind: str, settle: object) -> None:
    scene.emit(kind)
    scene.plan()
    assert callable(settle)
    settle(*[one for one in scene.claim() if one.webhook_id == webhook.id])


def _since_yesterday(scene: Scene, webhook: Webhook) -> ActivityRows:
    return scene.store.webhook_activity(ACME, webhook.id, scene.store.now() // HOUR * HOUR - 24 * HOUR)


def _took(scene: Scene, claimed: Claimed, milliseconds: int) -> Result:
    result = scene.result(claimed, DeliveryState.DELIVERED)
    attempt = result.attempt and evolve(result.attempt, duration_us=milliseconds * 1_000)
    return evolve(result, attempt=attempt)


def _answered(scene: Scene, claimed: Claimed, code: int | None, state: DeliveryState) -> Result:
    retry_in_us = 60_000_000 if state is DeliveryState.PENDING else None
    result = scene.result(claimed, state, retry_in_us=retry_in_us)
    attempt = result.attempt and evolve(result.attempt, status_code=code, error=None if code else "timed out")
    return evolve(result, attempt=attempt)
