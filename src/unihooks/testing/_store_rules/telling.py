"""The rules that every store follows when it emits operational events."""

from __future__ import annotations

from typing import Any

import pytest

from unihooks._message.headers import HeaderSet
from unihooks._message.payload import encode
from unihooks._message.secrets import Secret
from unihooks._model.health import HealthState
from unihooks._model.log import DeliveryState
from unihooks._model.operational_events import PRODUCT
from unihooks._model.webhooks import EventSubscription, Webhook
from unihooks.abc import HealthChange
from unihooks.exceptions import Conflict, LimitReached, NotFound
from unihooks.testing._store_rules.scene import ACME, EVERYTHING, OTHER_URL, URL, Scene, ids

HEALTHY, FAILING = HealthState.HEALTHY, HealthState.FAILING
TOLD = (EventSubscription(PRODUCT, "*"),)
_ENTRY = "https://one.example.com/in?token=s3cr3t"


class TellingRules:
    """The rules of operational events."""

    def test_nothing_is_emitted_unless_it_is_switched_on(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.fail(scene.claimed(), disable="410 Gone")
        scene.store.delete_webhook(ACME, webhook.id)
        assert _told(scene) == []

    def test_each_change_of_a_webhook_is_reported_once(self, scene: Scene) -> None:
        scene.store.use_operational_events()
        webhook = scene.inactive()
        scene.activate(webhook)
        scene.revise(webhook, name="Audit", version=5)
        scene.revise(webhook, secrets=[Secret.generate(), *webhook.secrets])
        scene.disable(webhook)
        scene.enable(webhook)
        scene.deactivate(webhook)
        scene.store.revise_webhook(ACME, webhook.id, lambda current: current)
        scene.store.delete_webhook(ACME, webhook.id)
        assert [event_type for event_type, _ in _told(scene)] == [
            "webhook.created",
            "webhook.activated",
            "webhook.updated",
            "secret.rotated",
            "endpoint.disabled",
            "webhook.updated",
            "webhook.deactivated",
            "webhook.deleted",
        ]
        named = {"id": webhook.id, "name": "Audit", "status": "active", "version": 5}
        _, updated = _told(scene)[2]
        assert updated == {"at": scene.clock().isoformat(), "webhook": named, "changed": ["name"]}

    def test_a_change_is_reported_to_the_webhooks_tenant(self, scene: Scene) -> None:
        scene.store.use_operational_events()
        scene.inactive(tenant="other")
        assert _told(scene) == []
        assert len(_told(scene, "other")) == 1

    def test_a_change_that_is_refused_tells_nothing(self, scene: Scene) -> None:
        webhook = scene.inactive()
        scene.store.use_operational_events()

        def refuse(_: Webhook) -> Webhook:
            raise Conflict("it is stale", name="version")

        with pytest.raises(Conflict, match="stale"):
            scene.store.revise_webhook(ACME, webhook.id, refuse)
        with pytest.raises(LimitReached, match="limit"):
            scene.store.add_webhook(scene.build(), at_most=1)
        with pytest.raises(NotFound):
            scene.store.delete_webhook(ACME, "wh_nobodys")
        assert _told(scene) == []

    def test_a_delivery_that_failed_for_good_is_reported_with_status_and_reason(self, scene: Scene) -> None:
        webhook = scene.active(name="CRM")
        scene.store.use_operational_events()
        first = scene.claimed()
        scene.retry(first, after=0)
        [again] = scene.claim()
        assert scene.fail(again, status_code=503).accepted
        [(event_type, payload)] = [told for told in _told(scene) if told[0] != "endpoint.failing"]
        assert event_type == "delivery.failed"
        assert payload == {
            "at": scene.clock().isoformat(),
            "webhook": {"id": webhook.id, "name": "CRM"},
            "endpoint": {"id": webhook.endpoints[0].id, "origin": "https://one.example.com", "description": ""},
            "delivery": {
                "id": first.id,
                "event_id": first.event_id,
                "product": "shop",
                "event_type": "paid",
                "attempts": 2,
            },
            "reason": "no retry is left",
            "status_code": 503,
        }

    def test_a_delivery_whose_body_cannot_be_made_is_reported_too(self, scene: Scene) -> None:
        scene.active()
        scene.store.use_operational_events()
        scene.unrendered()
        [(event_type, payload)] = _told(scene)
        assert (event_type, payload["status_code"], payload["delivery"]["attempts"]) == ("delivery.failed", None, 0)

    def test_a_late_result_tells_nothing(self, scene: Scene) -> None:
        scene.active()
        scene.store.use_operational_events()
        late = scene.claimed()
        scene.clock.advance(31)
        [claimed] = scene.claim()
        assert not scene.fail(late, disable="410 Gone").accepted
        assert _told(scene) == []
        scene.deliver(claimed)
        assert _told(scene) == []

    def test_deliveries_of_operational_events_are_not_reported(self, scene: Scene) -> None:
        scene.active(subscriptions=TOLD)
        scene.store.use_operational_events()
        scene.inactive(OTHER_URL)
        scene.plan()
        claimed = scene.claim()
        assert [one.event_type for one in claimed] == ["webhook.created"]
        scene.fail(*claimed)
        scene.plan()
        assert scene.claim() == []
        assert len(_told(scene)) == 1

    def test_an_endpoint_disabled_by_a_result_is_reported_with_the_reason(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.store.use_operational_events()
        scene.planned()
        one, _ = sorted(scene.claim(), key=lambda claimed: claimed.endpoint_id != webhook.endpoints[0].id)
        assert scene.fail(one, status_code=410, disable="it answered 410 Gone").accepted
        told = dict(_told(scene))
        assert set(told) == {"endpoint.disabled", "delivery.failed"}
        disabled = told["endpoint.disabled"]
        assert (disabled["reason"], disabled["status_code"]) == ("it answered 410 Gone", 410)
        assert disabled["endpoint"]["id"] == webhook.endpoints[0].id

    def test_an_endpoint_that_is_disabled_already_is_not_reported_again(self, scene: Scene) -> None:
        scene.active()
        scene.several(2)
        first, second = scene.claim()
        scene.store.use_operational_events()
        scene.fail(first, disable="410 Gone")
        scene.fail(second, disable="410 Gone")
        assert sorted(event_type for event_type, _ in _told(scene)) == [
            "delivery.failed",
            "delivery.failed",
            "endpoint.disabled",
        ]

    def test_a_webhook_gets_its_own_events_while_it_is_active(self, scene: Scene) -> None:
        scene.store.use_operational_events()
        webhook = scene.inactive(subscriptions=TOLD)
        scene.activate(webhook)
        scene.revise(webhook, name="Audit")
        scene.deactivate(webhook)
        scene.plan()
        assert sorted(one.event_type for one in scene.deliveries()) == ["webhook.activated", "webhook.updated"]

    def test_the_deletion_of_a_webhook_reaches_the_others_of_its_tenant(self, scene: Scene) -> None:
        webhook, other = scene.active(subscriptions=TOLD), scene.active(OTHER_URL, subscriptions=TOLD)
        scene.active(subscriptions=TOLD, tenant="other")
        scene.store.use_operational_events()
        scene.store.delete_webhook(ACME, webhook.id)
        scene.plan()
        [delivery] = scene.deliveries()
        assert (delivery.webhook_id, delivery.event_type) == (other.id, "webhook.deleted")
        assert scene.deliveries("other") == []

    def test_a_failing_endpoint_is_reported_once_with_status_and_reason(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.store.use_operational_events()
        failed = scene.result(
            scene.claimed(), DeliveryState.PENDING, status_code=503, retry_in_us=0, reason="no retry is left"
        )
        recorded = scene.store.record([failed])
        [change] = recorded.told_health
        assert tuple(change) == (ACME, webhook.id, webhook.endpoints[0].id, HEALTHY, FAILING)
        scene.retry(*scene.claim())
        [(event_type, payload)] = _told(scene)
        assert (event_type, payload["reason"], payload["status_code"]) == ("endpoint.failing", "no retry is left", 503)
        assert payload["endpoint"]["id"] == webhook.endpoints[0].id

    def test_an_endpoint_reported_as_failing_is_reported_as_recovered(self, scene: Scene) -> None:
        scene.active()
        scene.store.use_operational_events()
        scene.retry(scene.claimed(), after=0)
        told: list[HealthChange] = []
        for _ in range(19):
            told += scene.deliver(*scene.claim() or [scene.claimed()]).told_health
        assert [(one.before, one.after) for one in told] == [(FAILING, HEALTHY)]
        assert [event_type for event_type, _ in _told(scene)] == ["endpoint.failing", "endpoint.recovered"]
        _, payload = _told(scene)[1]
        assert (payload["reason"], payload["status_code"]) == (None, 200)

    def test_a_flapping_endpoint_is_reported_as_failing_once_in_10_minutes(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.store.use_operational_events()

        def flap() -> None:
            scene.retry(scene.claimed(), after=0)
            scene.deliver(*scene.claim())
            scene.store.clear_health(ids(webhook.endpoints))

        for _ in range(3):
            flap()
            scene.clock.advance(150)
        assert [event_type for event_type, _ in _told(scene)] == ["endpoint.failing", "endpoint.recovered"]
        assert not scene.retry(scene.claimed(), after=0).told_health
        # It is still failing, so that is reported once the time is over.
        scene.clock.advance(150)
        [claimed] = scene.claim()
        assert scene.retry(claimed, after=0).told_health
        assert [event_type for event_type, _ in _told(scene)][2:] == ["endpoint.failing"]

    def test_a_successful_test_reports_that_an_endpoint_has_recovered(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.store.use_operational_events()
        scene.retry(scene.claimed(), after=0)
        for expected in (1, 0):
            assert len(scene.store.clear_health(ids(webhook.endpoints))) == expected
        assert [event_type for event_type, _ in _told(scene)] == ["endpoint.failing", "endpoint.recovered"]

    def test_an_endpoint_enabled_again_may_be_reported_as_failing_again(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.store.use_operational_events()
        scene.retry(scene.claimed(), after=0)
        scene.disable(webhook)
        scene.clock.advance(600)
        scene.enable(webhook)
        assert scene.retry(*scene.claim()).told_health
        told = [event_type for event_type, _ in _told(scene)]
        assert told == ["endpoint.failing", "endpoint.disabled", "webhook.updated", "endpoint.failing"]

    def test_an_endpoint_that_fails_only_operational_events_is_not_reported_as_failing(self, scene: Scene) -> None:
        webhook = scene.active(subscriptions=[*EVERYTHING, *TOLD])
        scene.store.use_operational_events()
        scene.inactive(OTHER_URL)
        scene.plan()
        [claimed] = scene.claim()
        assert not scene.retry(claimed).told_health
        assert scene.health(webhook).failing
        assert scene.retry(scene.claimed()).told_health
        assert [event_type for event_type, _ in _told(scene)] == ["webhook.created", "endpoint.failing"]

    def test_hooks_learn_of_health_even_if_customers_do_not(self, scene: Scene) -> None:
        scene.active()
        assert scene.retry(scene.claimed(), after=0).told_health
        assert _told(scene) == []

    def test_no_operational_event_has_a_secret(self, scene: Scene) -> None:
        scene.store.use_operational_events()
        webhook = scene.active(_ENTRY, headers=HeaderSet({"X-Key": "h1dden"}), metadata={"plan": "g0ld"})
        scene.revise(webhook, headers=HeaderSet({"X-Key": "h1dden, too"}))
        fresh = Secret.generate()
        scene.revise(webhook, secrets=[fresh, *webhook.secrets])
        assert scene.fail(scene.claimed(), status_code=410, url=_ENTRY, disable="410 Gone").accepted
        scene.store.delete_webhook(ACME, webhook.id)
        said = b"".join(encode(payload) for _, payload in _told(scene)).decode()
        hidden = ["s3cr3t", "h1dden", "g0ld", fresh.reveal(), webhook.secrets[0].reveal()]
        assert [one for one in hidden if one in said] == []
        assert "endpoint.disabled" in dict(_told(scene))

    def test_operational_events_are_erased_and_pruned_like_any_other(self, scene: Scene) -> None:
        scene.store.use_operational_events()
        webhook = scene.inactive()
        [event] = scene.events(product=PRODUCT)
        assert event.subject == webhook.id
        assert scene.erase(event) == 1
        scene.plan()
        scene.clock.advance(60)
        assert scene.prune(30) == 1
        assert ids(scene.events()) == []


def _told(scene: Scene, tenant: str = ACME) -> list[tuple[str, Any]]:
    """Return the type and payload of each operational event, oldest first."""
    return [(one.event_type, one.payload) for one in reversed(scene.events(tenant, product=PRODUCT))]
