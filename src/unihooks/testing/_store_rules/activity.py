"""The rules that every store follows when it reports the activity of webhooks and sorts webhooks by their health."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from unihooks._contract.activity import (
    BOUNDS_MS,
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
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Endpoint, EndpointState, EventSubscription, Webhook
from unihooks.abc import Window
from unihooks.exceptions import NotFound
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids

_FIVE_MINUTES = 300


class ActivityRules:
    """The rules of what was sent to a webhook, of what failed there, and of the order by health."""

    def test_attempts_are_counted_by_how_long_they_took(self, scene: Scene) -> None:
        webhook = scene.active(URL)
        for milliseconds in (1, 3, 1_000, 70_000):
            scene.deliver(scene.claimed(), duration_us=milliseconds * 1_000)
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
            scene.deliver(scene.claimed(), duration_us=3_000)
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
            scene.answered(scene.claimed(event_type=event_type), code, state)
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
        failing, degraded = scene.settled("failing", bad=1), scene.settled("degraded", good=1, bad=1)
        disabled, healthy = scene.settled("disabled", bad=1), scene.settled("healthy", good=1)
        scene.disable(disabled)
        # Among equal health, the newest comes first.
        expected = ids([failing, degraded, disabled, _half_disabled(scene), healthy, _unused(scene)])
        places, found = zip(*_by_health(scene), strict=True)
        assert list(found) == expected
        for limit in (1, 2, 3):
            for at, place in enumerate(places):
                after = _by_health(scene, Window(limit=limit, older_than=place))
                assert [id_ for _, id_ in after] == expected[at + 1 : at + 1 + limit]
                before = _by_health(scene, Window(limit=limit, newer_than=place))
                assert [id_ for _, id_ in before] == expected[max(0, at - limit) : at]

    def test_the_order_by_health_keeps_to_the_filters(self, scene: Scene) -> None:
        failing, healthy = scene.settled("failing", bad=1), scene.settled("healthy", good=1)
        scene.revise(healthy, name="Searched")
        filters: list[tuple[dict[str, Any], list[Webhook]]] = [
            ({"search": "no such"}, []),
            ({"search": "sEARCHED"}, [healthy]),
            ({"search": "example"}, [failing, healthy]),
            ({"health": (HealthState.HEALTHY,)}, [healthy]),
            ({"health": (HealthState.FAILING, HealthState.DEGRADED)}, [failing]),
        ]
        for given, wanted in filters:
            assert [id_ for _, id_ in _by_health(scene, **given)] == ids(wanted), given

    def test_webhooks_are_narrowed_by_whether_anything_was_sent(self, scene: Scene) -> None:
        unused, healthy = _unused(scene), scene.settled("healthy", good=1)
        assert ids(scene.webhooks(attempted=True)) == [healthy.id]
        assert ids(scene.webhooks(attempted=False)) == [unused.id]


def _half_disabled(scene: Scene) -> Webhook:
    """Make a healthy webhook of which a failing endpoint was disabled."""
    webhook = scene.settled("half", bad=1)
    scene.disable(webhook)
    other = Endpoint(OTHER_URL, id=f"end_{webhook.id[4:]}")
    scene.store.revise_webhook(ACME, webhook.id, lambda it: evolve(it, endpoints=[*it.endpoints, other]))
    scene.planned("half")
    scene.deliver(*scene.claim())
    assert scene.endpoint(webhook).state is EndpointState.DISABLED
    return webhook


def _unused(scene: Scene) -> Webhook:
    return scene.active(subscriptions=[EventSubscription("shop", "unused")])


def _by_health(scene: Scene, window: Window | None = None, **filters: Any) -> list[tuple[str, str]]:
    """Return the place and the id of each webhook."""
    found = scene.store.webhooks_by_health(ACME, WebhookFilter(**filters), window or Window(limit=9))
    return [(place, webhook.id) for place, webhook in found]


def _since_yesterday(scene: Scene, webhook: Webhook) -> ActivityRows:
    return scene.store.webhook_activity(ACME, webhook.id, scene.store.now() // HOUR * HOUR - 24 * HOUR)
