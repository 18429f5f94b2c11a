"""The rules that every store follows when it accepts events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from unihooks._base.times import from_us
from unihooks._model.log import Event
from unihooks.exceptions import IdempotencyConflict
from unihooks.testing._store_rules.scene import ACME, Scene, ids


class EmittingRules:
    """The rules of the verbs for emitting."""

    def test_an_event_is_stored_when_its_future_is_done(self, scene: Scene) -> None:
        new = scene.event("paid", {"amount": 7, "text": "Grüße"})
        [event] = scene.submit(new)
        assert event == Event(new.id, ACME, "shop", "paid", None, from_us(new.created_at))
        [stored] = scene.events()
        assert stored == Event(new.id, ACME, "shop", "paid", {"amount": 7, "text": "Grüße"}, from_us(new.created_at))
        assert scene.store.work().new_events

    def test_outcomes_come_in_the_order_of_the_events(self, scene: Scene) -> None:
        events = [scene.event() for _ in range(20)]
        assert ids(scene.submit(*reversed(events))) == ids(events[::-1])
        assert scene.submit() == []

    @pytest.mark.parametrize("count", [*range(1, 18), 33, 64, 85])
    def test_any_number_of_events_is_stored_with_all_that_they_say(self, scene: Scene, count: int) -> None:
        events = [scene.event(f"paid.{number}", number, tenant=f"t{number}") for number in range(count)]
        assert scene.submit(*events) == [
            Event(one.id, one.tenant, "shop", one.event_type, None, from_us(one.created_at)) for one in events
        ]
        stored = [(item.id, item.event_type, item.payload) for one in events for item in scene.events(one.tenant)]
        assert stored == [(one.id, f"paid.{number}", number) for number, one in enumerate(events)]

    def test_a_key_counts_within_one_call_too_whether_or_not_it_waits(self, scene: Scene) -> None:
        for key, insert in (("k", scene.store.insert_events), ("l", lambda events: scene.submit(*events))):
            one, same, other = (scene.event(idempotency_key=key, digest=digest) for digest in (b"1", b"1", b"other"))
            last = scene.event()
            found = [getattr(outcome, "id", type(outcome)) for outcome in insert([one, same, other, last])]
            assert found == [one.id, one.id, IdempotencyConflict, last.id]
            assert insert([]) == []
        assert len(scene.events()) == 4

    def test_events_with_keys_are_inserted_together_or_not_at_all(self, scene: Scene) -> None:
        keyed, same, plain = scene.event(idempotency_key="k", digest=b"one"), scene.event(), scene.event()
        same = evolve(same, idempotency_key="k", digest=b"one")
        assert ids(scene.store.insert_together([plain, keyed, same])) == [plain.id, keyed.id, keyed.id]
        assert sorted(ids(scene.events())) == sorted([plain.id, keyed.id])
        other = scene.event(idempotency_key="k", digest=b"other")
        with pytest.raises(IdempotencyConflict):
            scene.store.insert_together([scene.event(), scene.event(idempotency_key="l", digest=b"l"), other])
        assert len(scene.events()) == 2
        again = evolve(scene.event(), idempotency_key="k", digest=b"one")
        assert ids(scene.store.insert_together([again])) == [keyed.id]
        assert scene.store.insert_together([]) == []

    def test_events_that_arrive_together_are_all_stored(self, scene: Scene) -> None:
        with ThreadPoolExecutor(8) as pool:
            emitted = list(pool.map(lambda _: scene.emit().id, range(64)))
        assert sorted(ids(scene.events())) == sorted(emitted)
        assert len(set(emitted)) == 64

    def test_a_used_key_with_the_same_digest_gives_the_first_event(self, scene: Scene) -> None:
        first = scene.emit(idempotency_key="k", digest=b"same")
        scene.clock.advance(60)
        assert scene.emit(idempotency_key="k", digest=b"same") == first
        assert ids(scene.events()) == [first.id]

    def test_racing_emits_with_one_key_store_one_event(self, scene: Scene) -> None:
        with ThreadPoolExecutor(8) as pool:
            emitted = list(pool.map(lambda _: scene.emit(idempotency_key="k", digest=b"d").id, range(16)))
        assert ids(scene.events()) == list(set(emitted))

    def test_tenants_do_not_share_keys(self, scene: Scene) -> None:
        one = scene.emit(idempotency_key="k", digest=b"one")
        other = scene.emit(idempotency_key="k", digest=b"other", tenant="other")
        assert (ids(scene.events()), ids(scene.events("other"))) == ([one.id], [other.id])

    def test_a_bad_event_does_not_fail_its_neighbours(self, scene: Scene) -> None:
        taken = scene.emit(idempotency_key="k", digest=b"one")
        before, after = scene.event(), scene.event()
        conflicting, doubled = scene.event(idempotency_key="k", digest=b"two"), scene.event(id=taken.id)
        outcomes = scene.submit(before, conflicting, doubled, after)
        assert [isinstance(one, Event) for one in outcomes] == [True, False, False, True]
        assert isinstance(outcomes[1], IdempotencyConflict)
        assert set(ids(scene.events())) == {taken.id, before.id, after.id}

    def test_a_connection_of_an_unknown_kind_is_a_type_error(self, scene: Scene) -> None:
        with pytest.raises(TypeError, match=r"\w+ \w+"):
            scene.store.emit_on(object(), scene.event())
        assert scene.events() == []

    def test_the_oldest_unplanned_event_is_known(self, scene: Scene) -> None:
        assert scene.store.oldest_unplanned() is None
        oldest = scene.event()
        scene.submit(oldest)
        scene.clock.advance(5)
        scene.emit(tenant="other")
        assert scene.store.oldest_unplanned() == oldest.created_at
        assert scene.store.statistics().oldest_unplanned == from_us(oldest.created_at)
        scene.plan()
        assert scene.store.oldest_unplanned() is None
        assert scene.store.statistics().oldest_unplanned is None
