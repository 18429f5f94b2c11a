"""The rules that every store follows for the subjects of events."""

from __future__ import annotations

from unihooks._model.log import DeliveryState
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids


class SubjectRules:
    """The rules of subjects: kept with event and delivery, listed by, erased by."""

    def test_a_subject_is_kept_with_the_event_and_its_deliveries(self, scene: Scene) -> None:
        scene.active()
        assert scene.emit(subject="order/7").subject == "order/7"
        assert scene.emit().subject is None
        scene.plan()
        assert [one.subject for one in scene.events()] == [None, "order/7"]
        assert [one.subject for one in scene.claim()] == ["order/7", None]
        assert {one.subject for one in scene.deliveries()} == {None, "order/7"}

    def test_deliveries_leased_by_planning_have_their_subject(self, scene: Scene) -> None:
        scene.active()
        scene.emit(subject="order/7")
        [leased] = scene.plan(capacity=10).claimed
        assert leased.subject == "order/7"
        scene.deliver(leased)
        [delivery] = scene.deliveries()
        assert (delivery.state, delivery.subject) == (DeliveryState.DELIVERED, "order/7")

    def test_a_subject_is_kept_with_an_idempotency_key_and_in_a_batch_too(self, scene: Scene) -> None:
        first = scene.emit(idempotency_key="k", digest=b"d", subject="order/7")
        assert scene.emit(idempotency_key="k", digest=b"d", subject="order/7") == first
        keyed = scene.event(idempotency_key="l", digest=b"d", subject="order/8")
        scene.store.insert_together([scene.event(subject="order/9"), keyed])
        assert sorted(str(one.subject) for one in scene.events()) == ["order/7", "order/8", "order/9"]

    def test_replays_and_recovered_deliveries_have_the_subject_of_their_event(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.fail(scene.claimed(subject="order/7"))
        scene.disable(webhook)
        scene.planned(subject="order/8")
        scene.enable(webhook)
        [failed] = scene.deliveries()
        assert scene.store.replay(ACME, failed.id).subject == "order/7"
        scene.cancel_all()
        scene.recover(webhook)
        assert sorted(str(one.subject) for one in scene.deliveries()) == ["order/7", "order/7", "order/8"]

    def test_a_retry_and_a_last_failure_keep_the_subject(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.planned(subject="order/7")
        one, two = scene.claim()
        scene.retry(one, after=0)
        scene.fail(two)
        assert [again.subject for again in scene.claim()] == ["order/7"]
        assert [delivery.subject for delivery in scene.deliveries()] == ["order/7", "order/7"]

    def test_events_and_deliveries_are_found_by_their_subject(self, scene: Scene) -> None:
        webhook = scene.active()
        wanted, other = scene.emit(subject="order/7"), scene.emit(subject="order/70")
        scene.emit(subject="order/7", tenant="other")
        scene.emit()
        scene.plan()
        assert ids(scene.events(subject="order/7")) == [wanted.id]
        assert scene.events(subject="order/7", event_id=other.id) == []
        [found] = scene.deliveries(subject="order/7")
        assert found.event_id == wanted.id
        assert ids(scene.deliveries(subject="order/7", state=DeliveryState.PENDING)) == [found.id]
        assert ids(scene.deliveries(subject="order/7", webhook_id=webhook.id, event_type="paid")) == [found.id]
        assert scene.deliveries(subject="order/7", event_id=other.id) == []
        assert scene.deliveries(subject="order/7", state=DeliveryState.FAILED) == []
        assert scene.deliveries(subject="order") == []

    def test_events_are_erased_by_their_subject_which_is_removed_too(self, scene: Scene) -> None:
        scene.active()
        scene.deliver(scene.claimed(payload=1, subject="order/7"))
        kept = scene.emit(payload=2, subject="order/70")
        scene.submit(*[scene.event(payload=3, subject="order/7") for _ in range(3)])
        scene.plan(2)
        made, after = scene.store.erase(ACME, subject="order/7", limit=3)
        assert made == 3
        assert after is not None
        assert scene.store.erase(ACME, subject="order/7", after=after, limit=3) == (1, None)
        assert {one.payload: one.subject for one in scene.events()} == {2: "order/70", None: None}
        assert scene.events(subject="order/7") == []
        assert scene.deliveries(subject="order/7") == []
        scene.plan()
        assert {one.event_id for one in scene.claim()} == {kept.id}
