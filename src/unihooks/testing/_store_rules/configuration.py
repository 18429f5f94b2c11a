"""The rules that every store follows for webhooks, endpoints and their lanes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from unihooks._message.conditions import Condition
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.rendering import Rendering
from unihooks._message.secrets import Secret
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook, WebhookStatus
from unihooks.abc import ENDPOINT_REMOVED, WEBHOOK_DELETED, Store, WebhookFilter, Window
from unihooks.exceptions import Conflict, LimitReached, NotFound
from unihooks.testing._clock import FakeClock
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids


class ConfigurationRules:
    """The rules of the verbs for webhooks."""

    def test_all_times_come_from_the_clock_given(self, store: Store, clock: FakeClock) -> None:
        before = store.now()
        clock.advance(1.5)
        assert store.now() - before == 1_500_000

    def test_the_store_has_a_clock_of_its_own_again(self, store: Store, clock: FakeClock) -> None:
        clock.advance(timedelta(days=100_000))
        far = store.now()
        store.use_clock(None)
        assert store.now() < far

    def test_a_store_can_be_used_after_it_was_migrated_again(self, scene: Scene) -> None:
        webhook = scene.inactive()
        assert scene.store.migrate() == []
        assert scene.store.get_webhook(ACME, webhook.id) == webhook

    def test_a_webhook_comes_back_as_it_was_stored(self, scene: Scene) -> None:
        expiring = Secret(Secret.generate().reveal(), expires_at=scene.clock() + timedelta(days=1))
        webhook = scene.inactive(
            URL,
            OTHER_URL,
            name="Grüße",
            description="Copies",
            subscriptions=[
                EventSubscription("shop", "paid"),
                EventSubscription("shop", "*", [Condition("n", "in", [1, "x", None]), Condition("a[*]", "exists")]),
                EventSubscription("shop", "*", [Condition("n", "eq", value=True)]),
                EventSubscription("shop", "order.*"),
            ],
            mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
            headers=HeaderSet({"Authorization": "Bearer s3cr3t"}),
            secrets=[Secret.generate(), expiring],
        )
        found = scene.store.get_webhook(ACME, webhook.id)
        assert found == webhook
        assert found.headers.revealed() == [("Authorization", "Bearer s3cr3t")]
        assert [one.expires_at for one in found.secrets] == [None, expiring.expires_at]
        assert scene.activate(webhook) == scene.store.get_webhook(ACME, webhook.id)

    def test_a_tenant_has_no_more_webhooks_than_allowed(self, scene: Scene) -> None:
        scene.inactive()
        scene.inactive(tenant="other")
        with pytest.raises(LimitReached) as caught:
            scene.store.add_webhook(scene.build(), at_most=1)
        assert caught.value.name == "webhooks"
        scene.store.add_webhook(scene.build(), at_most=2)

    def test_racing_adds_do_not_exceed_the_limits(self, scene: Scene) -> None:
        def add(_: int) -> bool:
            try:
                scene.store.add_webhook(scene.build(), at_most=3)
            except LimitReached:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            added = list(pool.map(add, range(8)))
        assert sum(added) == len(scene.webhooks()) == 3

    def test_a_revision_replaces_the_webhook_and_is_returned(self, scene: Scene) -> None:
        webhook = scene.inactive()
        revised = scene.revise(webhook, name="Audit", version=2)
        assert revised == evolve(webhook, name="Audit", version=2)
        assert scene.store.get_webhook(ACME, webhook.id) == revised

    def test_an_error_in_a_revision_passes_through_and_changes_nothing(self, scene: Scene) -> None:
        webhook = scene.active()
        config_versions = scene.store.config_versions([ACME])

        def revise(current: Webhook) -> Webhook:
            raise Conflict(f"{current.name} is stale", name="version")

        with pytest.raises(Conflict, match="CRM sync is stale"):
            scene.store.revise_webhook(ACME, webhook.id, revise)
        assert scene.store.get_webhook(ACME, webhook.id) == webhook
        assert scene.store.config_versions([ACME]) == config_versions
        assert scene.revise(webhook, name="still works").name == "still works"

    def test_no_other_change_comes_between_a_revision(self, scene: Scene) -> None:
        webhook = scene.inactive()

        def revise_often(_: int) -> None:
            for _ in range(5):
                scene.store.revise_webhook(ACME, webhook.id, lambda now: evolve(now, version=now.version + 1))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(revise_often, range(4)))
        assert scene.store.get_webhook(ACME, webhook.id).version == 1 + 4 * 5

    def test_a_kept_endpoint_keeps_its_pending_deliveries_which_go_to_its_new_url(self, scene: Scene) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        scene.revise(webhook, endpoints=[evolve(webhook.endpoints[0], url=OTHER_URL)])
        moved = scene.delivery(delivery.id)
        assert (moved.state, moved.url) == (DeliveryState.PENDING, OTHER_URL)
        [claimed] = scene.claim()
        assert scene.store.destinations([claimed.endpoint_id])[claimed.endpoint_id].url == OTHER_URL

    def test_a_failure_at_the_old_url_does_not_bring_it_back(self, scene: Scene) -> None:
        webhook = scene.active()
        claimed = scene.claimed()
        scene.revise(webhook, endpoints=[evolve(webhook.endpoints[0], url=OTHER_URL)])
        scene.retry(claimed)
        assert scene.delivery(claimed.id).url == OTHER_URL
        assert scene.attempts(claimed.id)[0].url == URL

    def test_an_endpoint_left_out_has_its_pending_deliveries_cancelled(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        gone, kept = webhook.endpoints
        scene.revise(webhook, endpoints=[kept])
        [cancelled] = scene.deliveries(endpoint_id=gone.id)
        assert (cancelled.state, cancelled.reason) == (DeliveryState.CANCELLED, ENDPOINT_REMOVED)
        assert cancelled.next_attempt_at is None
        assert [one.endpoint_id for one in scene.claim()] == [kept.id]
        assert set(scene.store.destinations([gone.id, kept.id])) == {kept.id}

    def test_a_new_endpoint_takes_deliveries(self, scene: Scene) -> None:
        webhook = scene.active()
        added = Endpoint(OTHER_URL, id="end_added")
        scene.revise(webhook, endpoints=[*webhook.endpoints, added])
        scene.planned()
        assert {one.endpoint_id for one in scene.claim()} == {webhook.endpoints[0].id, added.id}

    def test_a_deleted_webhook_is_gone_and_its_log_stays(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.deliver(scene.claimed())
        waiting = scene.pending()
        scene.store.delete_webhook(ACME, webhook.id)
        with pytest.raises(NotFound):
            scene.store.get_webhook(ACME, webhook.id)
        assert scene.store.destinations(ids(webhook.endpoints)) == {}
        cancelled = scene.delivery(waiting.id)
        assert (cancelled.state, cancelled.reason) == (DeliveryState.CANCELLED, WEBHOOK_DELETED)
        assert len(scene.deliveries(webhook_id=webhook.id, state=DeliveryState.DELIVERED)) == 1

    def test_a_deleted_webhook_gets_no_later_events(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.emit()
        scene.store.delete_webhook(ACME, webhook.id)
        assert scene.plan().deliveries == 0

    def test_each_change_raises_only_the_config_version_of_its_tenant(self, scene: Scene) -> None:
        assert scene.store.config_versions([ACME, "other"]) == {ACME: 0, "other": 0}
        seen = [0]
        webhook = scene.inactive()
        changes: list[Callable[[], object]] = [
            lambda: None,
            lambda: scene.activate(webhook),
            lambda: scene.fail(scene.claimed(), disable="410 Gone"),
            lambda: scene.store.delete_webhook(ACME, webhook.id),
        ]
        for change in changes:
            change()
            seen.append(scene.store.config_versions([ACME])[ACME])
        assert seen == sorted(set(seen))
        assert scene.store.config_versions(["other"]) == {"other": 0}

    def test_a_destination_follows_the_current_webhook(self, scene: Scene) -> None:
        webhook = scene.active(headers=HeaderSet({"X-Key": "one"}))
        [endpoint] = webhook.endpoints
        found = scene.store.destinations([endpoint.id, "end_unknown"])
        destination = found[endpoint.id]
        assert set(found) == {endpoint.id}
        assert (destination.endpoint_id, destination.webhook_id, destination.tenant) == (endpoint.id, webhook.id, ACME)
        assert (destination.url, destination.open) == (URL, True)
        assert tuple(destination.secrets) == webhook.secrets
        assert destination.headers.revealed() == [("X-Key", "one")]
        assert destination.config_version == scene.store.config_versions([ACME])[ACME]
        scene.revise(webhook, headers=HeaderSet({"X-Key": "two"}))
        later = scene.store.destinations([endpoint.id])[endpoint.id]
        assert later.headers.revealed() == [("X-Key", "two")]
        assert later.config_version > destination.config_version

    def test_a_destination_is_open_while_webhook_and_endpoint_are(self, scene: Scene) -> None:
        webhook = scene.inactive()
        [endpoint] = webhook.endpoints
        seen = []
        for change in (scene.activate, scene.disable, scene.deactivate, scene.enable, scene.activate):
            change(webhook)
            seen.append(scene.store.destinations([endpoint.id])[endpoint.id].open)
        assert seen == [True, False, False, False, True]

    def test_webhooks_are_listed_newest_first_within_a_window(self, scene: Scene) -> None:
        made = []
        for _ in range(5):
            scene.clock.advance(1)
            made.append(scene.inactive().id)
        newest_first = made[::-1]

        def listed(**window: Any) -> list[str]:
            return ids(scene.webhooks(window=Window(limit=2, **window)))

        assert listed() == newest_first[:2]
        assert listed(older_than=newest_first[1]) == newest_first[2:4]
        assert listed(newer_than=newest_first[4]) == newest_first[2:4]
        assert listed(newer_than=newest_first[0]) == []

    @pytest.mark.parametrize(
        "filters, names",
        [
            (WebhookFilter(status=WebhookStatus.ACTIVE), {"audit"}),
            (WebhookFilter(status=WebhookStatus.INACTIVE), {"CRM", "odd_100%"}),
            (WebhookFilter(search="crm"), {"CRM"}),
            (WebhookFilter(search="COPIES"), {"CRM"}),
            (WebhookFilter(search="two.EXAMPLE"), {"audit"}),
            (WebhookFilter(search="_100%"), {"odd_100%"}),
            (WebhookFilter(search="%"), {"odd_100%"}),
            (WebhookFilter(search="crm", status=WebhookStatus.ACTIVE), set()),
        ],
    )
    def test_webhooks_are_narrowed(self, scene: Scene, filters: WebhookFilter, names: set[str]) -> None:
        scene.inactive(name="CRM", description="Copies messages")
        scene.active(OTHER_URL, name="audit")
        scene.inactive(name="odd_100%")
        scene.active(OTHER_URL, name="CRM", tenant="other")
        assert {one.name for one in scene.store.list_webhooks(ACME, filters, Window(limit=10))} == names

    def test_a_rendering_is_found_by_its_id_even_after_its_webhook_is_gone(self, scene: Scene) -> None:
        first, second = (Rendering(PayloadMapping(remove=[path])) for path in ("a", "b"))
        webhook = scene.active(mapping=first.mapping)
        scene.active(mapping=first.mapping, tenant="other")
        assert scene.store.renderings([first.id, second.id]) == {first.id: first}
        scene.revise(webhook, mapping=second.mapping)
        scene.store.delete_webhook(ACME, webhook.id)
        assert scene.store.renderings([first.id, second.id, "unknown"]) == {first.id: first, second.id: second}
        assert scene.store.renderings([]) == {}

    def test_a_webhook_of_another_version_is_not_deleted(self, scene: Scene) -> None:
        webhook = scene.active()
        with pytest.raises(Conflict, match="read it again"):
            scene.store.delete_webhook(ACME, webhook.id, version=webhook.version + 1)
        assert scene.store.get_webhook(ACME, webhook.id).version == webhook.version
        assert scene.store.delete_webhook(ACME, webhook.id, version=webhook.version).id == webhook.id

    @pytest.mark.parametrize("tenant", ["other", ACME])
    def test_objects_of_another_tenant_or_of_nobody_are_not_found(self, scene: Scene, tenant: str) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        if tenant == ACME:
            webhook, delivery = evolve(webhook, id="whk_nobodys"), evolve(delivery, id="dlv_nobodys")
        store = scene.store
        verbs: list[tuple[str, Callable[[], object]]] = [
            ("webhook", lambda: store.get_webhook(tenant, webhook.id)),
            ("webhook", lambda: store.revise_webhook(tenant, webhook.id, lambda current: current)),
            ("webhook", lambda: store.delete_webhook(tenant, webhook.id)),
            ("delivery", lambda: store.list_attempts(tenant, delivery.id, Window(limit=1))),
            ("delivery", lambda: store.replay(tenant, delivery.id)),
            ("delivery", lambda: store.cancel(tenant, delivery.id, "no")),
            ("webhook", lambda: store.recover(tenant, webhook.id, 0, 1, after="", limit=1, most=1)),
        ]
        for kind, verb in verbs:
            id_ = webhook.id if kind == "webhook" else delivery.id
            with pytest.raises(NotFound, match=f"there is no {kind} '{id_}' of tenant '{tenant}'; pass") as caught:
                verb()
            assert caught.value.name == f"{kind}_id"
        assert len(scene.claim()) == 1
