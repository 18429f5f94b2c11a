"""The rules that every store follows when deliveries are searched, or filtered by their last status."""

from __future__ import annotations

from typing import Any

import pytest

from unihooks._contract.jobs import Replays
from unihooks._model.log import NO_RESPONSE, DeliveryState
from unihooks._model.policy import DeliveryPolicy
from unihooks.abc import DeliveryFilter, Window
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids

_EVERY_SERVER_ERROR = (500, 599)


class SearchRules:
    """The rules of the filters `search` and `status_code`."""

    def test_deliveries_are_found_by_how_an_events_id_begins(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        first = scene.emit()
        scene.clock.advance(60)
        second = scene.planned()
        scene.deliver(*scene.claim())
        replay = scene.store.replay(ACME, scene.deliveries(event_id=first.id)[0].id)
        of_first = sorted(ids(scene.deliveries(event_id=first.id)), reverse=True)
        assert replay.id in of_first
        assert len(of_first) == 3
        for text in (first.id, first.id.lower(), first.id[:20], first.id[:13]):
            assert ids(scene.deliveries(search=text)) == of_first
        assert len(scene.deliveries(search=second.id[:-1])) == 2
        for text in ("evt_", "evt", "EV", "e"):
            assert len(scene.deliveries(search=text)) == 5
        assert scene.deliveries(search="evt_zzz") == []
        assert scene.deliveries("other", search=first.id) == []

    def test_deliveries_are_found_by_how_their_own_id_begins(self, scene: Scene) -> None:
        scene.active()
        delivery = scene.pending()
        scene.clock.advance(60)
        scene.pending()
        for text in (delivery.id, delivery.id.lower(), delivery.id[:13]):
            assert ids(scene.deliveries(search=text)) == [delivery.id]
        for text in ("dlv_", "dlv", "DL", "d"):
            assert len(scene.deliveries(search=text)) == 2
        assert scene.deliveries("other", search=delivery.id) == []

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_deliveries_are_found_by_how_a_webhooks_id_begins(self, scene: Scene, *, is_deleted: bool) -> None:
        one = scene.active()
        delivery = scene.pending()
        scene.clock.advance(60)
        scene.active(OTHER_URL)
        scene.planned()
        if is_deleted:
            scene.store.delete_webhook(ACME, one.id)
        expected = ids(scene.deliveries(webhook_id=one.id))
        assert delivery.id in expected
        for text in (one.id, one.id.lower(), one.id[:13]):
            assert ids(scene.deliveries(search=text)) == expected
        for text in (one.id[:4], "wh", "W"):
            assert len(scene.deliveries(search=text)) == 3
        assert scene.deliveries("other", search=one.id) == []

    def test_deliveries_are_found_by_how_a_url_begins(self, scene: Scene) -> None:
        webhook = scene.active("https://crm.example/hooks?a=1", "https://audit.example/in")
        scene.planned()
        [crm] = scene.deliveries(endpoint_id=webhook.endpoints[0].id)
        for text in ("https://crm.example/hooks?a=1", "CRM.example", "crm.example/hook", "https://crm"):
            assert ids(scene.deliveries(search=text)) == [crm.id]
        assert len(scene.deliveries(search="https://")) == 2
        for text in ("example", "crm.example/other", "%", "_", "ähnlich"):
            assert scene.deliveries(search=text) == []
        scene.revise(webhook, endpoints=webhook.endpoints[1:])
        assert ids(scene.deliveries(search="crm.example")) == [crm.id]
        assert scene.deliveries("other", search="crm.example") == []

    def test_deliveries_are_found_by_how_a_subject_begins(self, scene: Scene) -> None:
        scene.active()
        seven, seventy, other, none = (scene.pending(subject=text) for text in ("order/7", "order/7~", "user/1", None))
        assert ids(scene.deliveries(search="order/7")) == sorted(ids([seven, seventy]), reverse=True)
        assert ids(scene.deliveries(search="order/7~")) == [seventy.id]
        assert ids(scene.deliveries(search="user/")) == [other.id]
        assert ids(scene.deliveries(search="order", subject="order/7")) == [seven.id]
        for text in ("Order/7", "rder", "order/8", "über"):
            assert scene.deliveries(search=text) == []
        assert none.id in ids(scene.deliveries(search=URL))
        assert scene.deliveries("other", search="order/7") == []

    def test_a_search_is_one_filter_among_others_and_comes_in_windows(self, scene: Scene) -> None:
        one, two = scene.active(), scene.active()
        for _ in range(3):
            scene.emit()
            scene.clock.advance(1)
        scene.plan()
        every = ids(scene.deliveries())
        assert len(every) == 6
        assert ids(scene.deliveries(search=URL)) == every
        assert len(scene.deliveries(search=URL, webhook_id=one.id)) == 3
        assert scene.deliveries(search=one.id, webhook_id=two.id) == []
        assert scene.deliveries(search=URL, state=DeliveryState.FAILED) == []
        assert len(scene.deliveries(search=URL, state=DeliveryState.PENDING)) == 6
        assert ids(scene.deliveries(search=URL, window=Window(limit=2))) == every[:2]
        assert ids(scene.deliveries(search=URL, window=Window(limit=2, older_than=every[1]))) == every[2:4]
        assert ids(scene.deliveries(search=URL, window=Window(limit=2, newer_than=every[4]))) == every[2:4]
        for most in (4, 10):
            assert scene.store.count_deliveries(ACME, DeliveryFilter(search=URL), most) == min(most, 6)

    def test_many_webhooks_are_searched_together(self, scene: Scene) -> None:
        for number in range(25):
            scene.active(f"https://crm.example/{number}")
        scene.active(OTHER_URL)
        scene.planned()
        assert len(scene.deliveries()) == 26
        assert len(scene.deliveries(search="crm.example")) == 25
        assert len(scene.deliveries(search="crm.example/1")) == 11

    def test_deliveries_are_found_by_the_status_of_the_last_attempt(self, scene: Scene) -> None:
        scene.active()
        busy, teapot, silent, good = (scene.claimed() for _ in range(4))
        scene.answered(busy, 503, DeliveryState.FAILED)
        scene.answered(teapot, 418, DeliveryState.PENDING)
        scene.retry(silent)
        scene.answered(good, 204, DeliveryState.DELIVERED)

        def found(lowest: int, highest: int | None = None, **filters: Any) -> list[str]:
            return ids(scene.deliveries(status_code=(lowest, highest or lowest), **filters))

        assert found(NO_RESPONSE) == found(NO_RESPONSE, state=DeliveryState.PENDING) == [silent.id]
        assert found(NO_RESPONSE, webhook_id=silent.webhook_id, search=URL) == [silent.id]
        assert scene.delivery(silent.id).status_code is None
        assert found(503) == found(*_EVERY_SERVER_ERROR) == [busy.id]
        assert found(418) == found(400, 499, state=DeliveryState.PENDING) == [teapot.id]
        assert found(503, webhook_id=busy.webhook_id) == found(503, state=DeliveryState.FAILED) == [busy.id]
        assert found(204) == found(200, 299) == [good.id]
        assert found(404) == found(200) == []
        assert scene.deliveries("other", status_code=(503, 503)) == []

    def test_a_delivery_tells_of_its_last_attempt_and_of_those_left(self, scene: Scene) -> None:
        scene.active(policy=DeliveryPolicy(retry_delays=[5, 60]))
        claimed = scene.claimed()
        waiting = scene.delivery(claimed.id)
        assert (waiting.status_code, waiting.duration_ms, waiting.attempts_left) == (None, None, 3)
        scene.answered(claimed, 503, DeliveryState.PENDING)
        failed = scene.delivery(claimed.id)
        assert (failed.status_code, failed.duration_ms, failed.attempts_left) == (503, 1.5, 2)
        scene.clock.advance(60)
        scene.answered(scene.claim()[0], 204, DeliveryState.DELIVERED)
        delivered = scene.delivery(claimed.id)
        assert (delivered.status_code, delivered.attempts_left, delivered.attempt_count) == (204, None, 2)

    def test_only_the_status_of_the_last_attempt_counts(self, scene: Scene) -> None:
        scene.active()
        first, second = scene.claimed(), scene.claimed()
        for one in (first, second):
            scene.answered(one, 503, DeliveryState.PENDING)
        assert len(scene.deliveries(status_code=_EVERY_SERVER_ERROR)) == 2
        scene.clock.advance(60)
        again = {one.id: one for one in scene.claim()}
        scene.deliver(again[first.id])
        scene.retry(again[second.id])
        assert scene.deliveries(status_code=_EVERY_SERVER_ERROR) == []
        assert ids(scene.deliveries(status_code=(200, 200))) == [first.id]
        assert ids(scene.deliveries(status_code=(NO_RESPONSE, NO_RESPONSE))) == [second.id]

    def test_a_job_replays_the_results_of_a_search_and_a_status_code(self, scene: Scene) -> None:
        scene.active(URL)
        scene.active(OTHER_URL)
        scene.planned()
        for claimed in scene.claim():
            scene.answered(claimed, 503, DeliveryState.FAILED)
        filters = DeliveryFilter(search=URL, status_code=_EVERY_SERVER_ERROR)
        assert scene.store.add_job(ACME, Replays(filters=filters), at_most=1).total == 1
        while scene.store.advance_jobs(most=10).more:
            pass
        [replay] = scene.deliveries(state=DeliveryState.PENDING)
        assert replay.url == URL

    def test_a_delivery_cancelled_in_flight_is_found_by_its_status(self, scene: Scene) -> None:
        scene.active()
        claimed = scene.claimed()
        scene.store.cancel(ACME, claimed.id, "by hand")
        scene.answered(claimed, 502, DeliveryState.FAILED)
        assert ids(scene.deliveries(status_code=(502, 502))) == [claimed.id]
