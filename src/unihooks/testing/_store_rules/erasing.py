"""The rules that every store follows when it erases the contents of events, and idempotency keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from unihooks._message.mapping import PayloadMapping
from unihooks._model.log import DeliveryState
from unihooks.abc import ERASED, DeliveryFilter
from unihooks.exceptions import Conflict
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, TOO_LONG, URL, Scene, ids


class ErasingRules:
    """The rules of `erase` and `forget_keys`."""

    def test_erasing_leaves_rows_and_counts_without_content(self, scene: Scene) -> None:
        scene.active(mapping=PayloadMapping(rename={"a": "b"}))
        sent = scene.claimed(payload={"a": 1})
        scene.deliver(sent)
        [event] = scene.events()
        [before] = scene.attempts(sent.id)
        assert scene.erase(event) == 1
        assert (scene.events()[0].id, scene.events()[0].payload) == (event.id, None)
        assert scene.delivery(sent.id).state is DeliveryState.DELIVERED
        [attempt] = scene.attempts(sent.id)
        assert (attempt.status_code, attempt.started_at) == (before.status_code, before.started_at)
        assert (attempt.request_headers, attempt.response_headers, attempt.response_body) == ((), (), b"")
        assert attempt.warnings == ()

    def test_erasing_cancels_pending_deliveries_and_drops_later_results(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        event = scene.planned(payload={"a": 1})
        one, two = scene.claim()
        scene.retry(one, after=1)
        assert scene.erase(event) == 1
        for delivery in scene.deliveries():
            assert (delivery.state, delivery.reason) == (DeliveryState.CANCELLED, ERASED)
            assert delivery.next_attempt_at is None
        assert not scene.deliver(two).accepted
        assert scene.attempts(two.id) == []
        scene.clock.advance(DAY)
        assert scene.claim() == []

    def test_erasing_a_cancelled_delivery_drops_its_later_result(self, scene: Scene) -> None:
        scene.active()
        event = scene.planned(payload={"a": 1})
        [claimed] = scene.claim()
        scene.store.cancel(ACME, claimed.id, "by hand")
        scene.erase(event)
        assert not scene.deliver(claimed).accepted
        assert scene.attempts(claimed.id) == []
        assert scene.delivery(claimed.id).reason == "by hand"

    def test_results_that_arrive_while_events_are_erased_leave_nothing_that_was_said(self, scene: Scene) -> None:
        scene.active()
        events = [scene.emit(payload={"a": 1}) for _ in range(24)]
        scene.plan()
        claimed = scene.claim()
        with ThreadPoolExecutor(8) as pool:
            recording = [pool.submit(scene.deliver, one) for one in claimed]
            erasing = [pool.submit(scene.erase, one) for one in events]
            assert sum(one.result() for one in erasing) == len(events)
            accepted = sum(len(one.result().accepted) for one in recording)
        attempts = [attempt for one in claimed for attempt in scene.attempts(one.id)]
        assert len(attempts) == accepted
        assert {(attempt.response_body, attempt.request_headers) for attempt in attempts} <= {(b"", ())}

    def test_an_event_erased_before_it_was_planned_is_never_sent(self, scene: Scene) -> None:
        scene.active()
        erased, kept = scene.emit(), scene.emit()
        assert scene.erase(erased) == 1
        scene.plan()
        assert [one.event_id for one in scene.claim()] == [kept.id]
        assert scene.erase(kept) == 1
        assert not scene.store.work().new_events
        assert scene.store.oldest_unplanned() is None

    def test_an_event_erased_when_it_was_planned_in_part_is_planned_no_further(self, scene: Scene) -> None:
        for _ in range(6):
            scene.active(*[f"https://{n}.example.com/" for n in range(50)])
        event = scene.emit(payload={"a": 1})
        assert scene.plan(1).more
        made = scene.store.count_deliveries(ACME, DeliveryFilter(), 1_000)
        assert scene.erase(event) == 1
        assert not scene.store.work().new_events
        assert scene.plan().deliveries == 0
        assert scene.store.count_deliveries(ACME, DeliveryFilter(), 1_000) == made
        assert scene.claim() == []

    def test_an_erased_event_is_neither_replayed_nor_recovered(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL, mapping=PayloadMapping(rename={"a": "b"}))
        event = scene.planned(payload={"a": 1})
        scene.fail(*scene.claim())
        missed = scene.emit(payload={"a": 2}, tenant=ACME)
        assert scene.erase(event, missed) == 2
        for delivery in scene.deliveries():
            with pytest.raises(Conflict):
                scene.store.replay(ACME, delivery.id)
        assert scene.recover(webhook) == 0

    def test_erasing_takes_the_reason_of_a_failed_mapping_too(self, scene: Scene) -> None:
        scene.active(mapping=TOO_LONG)
        failed = scene.unrendered()
        assert scene.erase(*scene.events()) == 1
        assert (scene.delivery(failed.id).state, scene.delivery(failed.id).reason) == (DeliveryState.FAILED, ERASED)

    def test_erasing_again_finds_nothing_new(self, scene: Scene) -> None:
        event = scene.emit()
        assert [scene.erase(event) for _ in range(2)] == [1, 0]
        assert scene.store.erase(ACME, before=2**60, limit=10) == (0, None)

    def test_another_tenants_events_are_not_found(self, scene: Scene) -> None:
        event = scene.emit(payload={"a": 1})
        assert scene.erase(event, tenant="other") == 0
        assert scene.store.erase("other", before=2**60, limit=10) == (0, None)
        assert scene.events()[0].payload == {"a": 1}

    def test_events_made_before_a_time_are_erased_in_batches(self, scene: Scene) -> None:
        old = scene.submit(*[scene.event(payload=1) for _ in range(5)])
        scene.clock.advance(1)
        before = scene.store.now()
        kept = scene.emit(payload=2)
        made, after = scene.store.erase(ACME, before=before, limit=3)
        assert (made, after) == (3, sorted(ids(old))[2])
        assert after is not None
        assert scene.store.erase(ACME, before=before, after=after, limit=4) == (2, None)
        assert {one.id: one.payload for one in scene.events()} == {kept.id: 2} | dict.fromkeys(ids(old))

    def test_events_named_are_erased_in_batches(self, scene: Scene) -> None:
        events = ids(scene.submit(*[scene.event(payload=1) for _ in range(5)]))
        made, after = scene.store.erase(ACME, event_ids=[*events, "evt_none"], limit=4)
        assert made == 4
        assert after is not None
        assert scene.store.erase(ACME, event_ids=[*events, "evt_none"], after=after, limit=4) == (1, None)

    def test_an_erased_event_is_pruned_as_any_other(self, scene: Scene) -> None:
        scene.active()
        scene.planned(idempotency_key="k", digest=b"d")
        scene.erase(*scene.events())
        scene.clock.advance(DAY)
        assert scene.prune(1) == 1
        assert (scene.events(), scene.deliveries()) == ([], [])

    def test_erasing_forgets_the_key(self, scene: Scene) -> None:
        event = scene.emit(idempotency_key="k", digest=b"one")
        scene.erase(event)
        assert scene.emit(idempotency_key="k", digest=b"two").id != event.id

    # Idempotency keys.

    def test_a_forgotten_key_makes_a_new_event(self, scene: Scene) -> None:
        first = scene.emit(idempotency_key="k", digest=b"same")
        scene.clock.advance(DAY)
        assert scene.forget_keys(DAY) == 0
        assert scene.emit(idempotency_key="k", digest=b"same") == first
        scene.clock.advance(1)
        assert scene.forget_keys(DAY) == 1
        second = scene.emit(idempotency_key="k", digest=b"same")
        assert ids(scene.events()) == [second.id, first.id]
        assert scene.emit(idempotency_key="k", digest=b"same") == second

    def test_no_more_keys_are_forgotten_than_asked_for(self, scene: Scene) -> None:
        scene.submit(*[scene.event(idempotency_key=str(number), digest=b"d") for number in range(5)], scene.event())
        scene.clock.advance(DAY)
        assert [scene.forget_keys(1, limit=3) for _ in range(3)] == [3, 2, 0]
        assert len(scene.events()) == 6
