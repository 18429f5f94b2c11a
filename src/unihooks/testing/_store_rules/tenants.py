"""The rules that every store follows when it erases a tenant or reports its usage."""

from __future__ import annotations

import pytest

from unihooks._contract.activity import HOUR
from unihooks._contract.jobs import Replays
from unihooks._contract.statistics import Usage
from unihooks._message.mapping import PayloadMapping
from unihooks._message.rendering import Rendering
from unihooks._model.webhooks import Webhook
from unihooks.abc import DeliveryFilter, WebhookFilter, Window
from unihooks.exceptions import NotFound
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, URL, Scene, ids

OTHER = "other"
_ALL = Window(limit=250)
_NOTHING = Usage(webhooks=0, endpoints=0, events_24h=0, deliveries_24h=0, pending=0, stored_bytes=0)
_OLD_MAPPING, _MAPPING = PayloadMapping(rename={"a": "b"}), PayloadMapping(remove=["c"])


class TenantRules:
    """The rules of `erase_tenant` and `usage`."""

    def test_of_an_erased_tenant_nothing_is_left(self, scene: Scene) -> None:
        webhook = _busy(scene, ACME)
        deliveries = ids(scene.deliveries())
        assert scene.erase_tenant() == 5
        assert scene.store.list_webhooks(ACME, WebhookFilter(), _ALL) == []
        assert (scene.events(), scene.deliveries()) == ([], [])
        for delivery_id in deliveries:
            with pytest.raises(NotFound):
                scene.attempts(delivery_id)
        assert scene.store.list_tenants(_ALL) == []
        assert (scene.store.list_jobs(ACME, _ALL), scene.store.work().has_jobs) == ([], False)
        assert scene.store.destinations(ids(webhook.endpoints)) == {}
        assert scene.store.reserve_answer(ACME, "request", b"another") is None
        scene.planned(idempotency_key="once", digest=b"another")
        assert scene.claim() == []
        stats = scene.store.statistics()
        assert (stats.due, stats.held, stats.in_flight, stats.oldest_unplanned) == (0, 0, 0, None)

    def test_of_another_tenant_everything_is_left(self, scene: Scene) -> None:
        webhook = _busy(scene, OTHER)
        _busy(scene, ACME)
        before = [scene.events(OTHER), scene.deliveries(OTHER), scene.store.usage(OTHER)]
        scene.erase_tenant()
        assert [scene.events(OTHER), scene.deliveries(OTHER), scene.store.usage(OTHER)] == before
        assert scene.store.get_webhook(OTHER, webhook.id).secrets == webhook.secrets
        assert [one.tenant for one in scene.store.list_tenants(_ALL)] == [OTHER]
        assert scene.store.webhook_activity(OTHER, webhook.id, scene.store.now() - 24 * HOUR).endpoints != []
        scene.clock.advance(60)
        assert {one.tenant for one in scene.claim()} == {OTHER}

    def test_renderings_without_other_users_are_removed_with_their_tenant(self, scene: Scene) -> None:
        _busy(scene, ACME)
        old, current = (rendering.id for one in (_OLD_MAPPING, _MAPPING) if (rendering := Rendering.of(one)))
        assert set(scene.store.renderings([old, current])) == {old, current}
        others = scene.active(tenant=OTHER, mapping=_OLD_MAPPING)
        scene.pending(tenant=OTHER)
        # The deliveries still refer to it.
        scene.revise(others, mapping=PayloadMapping())
        scene.erase_tenant()
        assert set(scene.store.renderings([old, current])) == {old}
        scene.erase_tenant(OTHER)
        assert scene.store.renderings([old, current]) == {}

    @pytest.mark.parametrize("steps", range(10))
    def test_an_interrupted_erasure_of_a_tenant_continues_where_it_was(self, scene: Scene, steps: int) -> None:
        _busy(scene, ACME)
        after: str | None = ""
        erased = 0
        for _ in range(steps):
            if after is not None:
                count, after = scene.store.erase_tenant(ACME, after=after, limit=1)
                erased += count
        assert erased + scene.erase_tenant() == 5
        assert (scene.events(), scene.deliveries(), scene.store.usage(ACME)) == ([], [], _NOTHING)
        assert scene.store.list_tenants(_ALL) == []

    def test_a_step_removes_as_much_as_it_may(self, scene: Scene) -> None:
        scene.active()
        scene.several(5)
        _, after = scene.store.erase_tenant(ACME, limit=2)
        seen = []
        while after is not None:
            _, after = scene.store.erase_tenant(ACME, after=after, limit=2)
            seen.append((len(scene.deliveries()), len(scene.events())))
        assert seen[:4] == [(5, 5), (3, 5), (1, 5), (0, 5)]
        assert (0, 3) in seen

    def test_a_result_that_comes_after_its_tenant_was_erased_is_dropped(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.erase_tenant()
        assert not scene.deliver(claimed).accepted
        scene.store.release([claimed])
        assert scene.store.usage(ACME) == _NOTHING

    def test_a_new_tenant_has_nothing_of_an_erased_one_of_the_same_name(self, scene: Scene) -> None:
        scene.active()
        scene.claimed()
        versions = {scene.store.config_versions([ACME])[ACME]}
        for _ in range(3):
            scene.erase_tenant()
            assert scene.store.config_versions([ACME]) == {ACME: 0}
            webhook = scene.active(OTHER_URL)
            # A version number that caches may know must not be used again.
            version = scene.store.config_versions([ACME])[ACME]
            assert version > max(versions)
            versions.add(version)
            claimed = scene.claimed()
            assert claimed.webhook_id == webhook.id

    def test_erasing_a_tenant_that_is_not_there_does_nothing(self, scene: Scene) -> None:
        _busy(scene, OTHER)
        before = scene.store.usage(OTHER)
        assert scene.erase_tenant() == 0
        assert scene.store.usage(OTHER) == before

    def test_usage_counts_what_a_tenant_has_and_its_last_day(self, scene: Scene) -> None:
        assert scene.store.usage(ACME) == _NOTHING
        scene.active(URL, OTHER_URL)
        scene.inactive()
        scene.planned(payload={"a": "x" * 10_000})
        scene.deliver(*scene.claim())
        first = scene.store.usage(ACME)
        assert (first.webhooks, first.endpoints, first.events_24h, first.deliveries_24h) == (2, 3, 1, 2)
        assert first.pending == 0
        assert 10_000 < first.stored_bytes < 20_000
        scene.clock.advance(DAY + 1)
        scene.emit()
        scene.emit(tenant=OTHER)
        scene.plan()
        second = scene.store.usage(ACME)
        assert (second.webhooks, second.endpoints, second.events_24h, second.deliveries_24h) == (2, 3, 1, 2)
        assert second.pending == 2
        assert second.stored_bytes > first.stored_bytes
        assert scene.store.usage(OTHER).events_24h == 1


def _busy(scene: Scene, tenant: str) -> Webhook:
    """Give a tenant some of everything; its five events lead to deliveries of every kind."""
    scene.inactive("https://former.example/in", tenant=tenant)
    webhook = scene.active(URL, OTHER_URL, tenant=tenant, mapping=_OLD_MAPPING)
    scene.emit(tenant=tenant, idempotency_key="once", digest=b"digest")
    scene.emit(tenant=tenant)
    scene.plan()
    one, two, three, four = (item for item in scene.claim() if item.tenant == tenant)
    scene.deliver(one)
    scene.fail(two)
    scene.retry(three, after=5)
    scene.store.release([four])
    scene.store.replay(tenant, one.id)
    scene.revise(webhook, mapping=_MAPPING, endpoints=webhook.endpoints[:1])
    scene.planned(tenant=tenant)
    scene.deactivate(scene.active(tenant=tenant))
    scene.emit(tenant=tenant)
    scene.emit(tenant=tenant)
    scene.store.reserve_answer(tenant, "request", b"digest")
    scene.store.keep_answer(tenant, "request", 200, b"{}")
    found = DeliveryFilter(search=URL, status_code=(500, 599))
    scene.store.add_job(tenant, Replays(filters=found), at_most=1)
    scene.clock.advance(10)
    return webhook
