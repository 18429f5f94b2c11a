"""The rules that every store follows when a tenant has a limit of events per minute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from unihooks._model.log import Event
from unihooks.exceptions import IdempotencyConflict, LimitReached
from unihooks.testing._store_rules.scene import ACME, Scene, ids

OTHER = "other"


class QuotaRules:
    """The rules of `per_minute` in `submit_events`, `insert_events` and `insert_together`."""

    def test_only_events_beyond_the_limit_are_refused(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        events = [scene.event() for _ in range(5)]
        outcomes = scene.store.insert_events(events, 3)
        assert [type(one) for one in outcomes] == [Event, Event, Event, LimitReached, LimitReached]
        assert sorted(ids(scene.events())) == sorted(ids(events[:3]))
        [refused] = scene.store.submit_events([scene.event()], 3).result(timeout=10)
        assert isinstance(refused, LimitReached)
        assert refused.name == "events_per_minute"
        assert str(refused) == "the tenant may emit 3 events per minute, which is the limit; try again in 60 s"
        scene.plan()
        assert len(scene.events()) == 3
        # Refused events do not count.
        assert _made(scene, 3, limit=5) == 2

    def test_a_minute_begins_with_none(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        for _ in range(3):
            assert _made(scene, 3, limit=2) == 2
            scene.clock.advance(59)
            assert _made(scene, 3, limit=2) == 0
            scene.clock.advance(1)

    def test_each_tenant_has_its_own_limit(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        events = [scene.event(tenant=tenant) for tenant in (ACME, OTHER, ACME, OTHER, ACME)]
        outcomes = scene.store.insert_events(events, 2)
        assert [isinstance(one, Event) for one in outcomes] == [True] * 4 + [False]
        assert _made(scene, 1, limit=3, tenant=OTHER) == 1

    def test_events_without_a_limit_are_neither_refused_nor_counted(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        assert _made(scene, 5, limit=None) == 5
        assert _made(scene, 3, limit=2) == 2
        assert _made(scene, 1, limit=None) == 1

    def test_events_inserted_together_are_refused_together_and_then_do_not_count(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        assert len(scene.store.insert_together([scene.event(), scene.event()], 3)) == 2
        with pytest.raises(LimitReached):
            scene.store.insert_together([scene.event(), scene.event()], 3)
        assert len(scene.events()) == 2
        assert _made(scene, 2, limit=3) == 1

    def test_events_with_keys_have_their_own_outcomes_within_the_limit(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        first = scene.event(idempotency_key="k", digest=b"one")
        again = scene.event(idempotency_key="k", digest=b"one")
        other = scene.event(idempotency_key="k", digest=b"two")
        late = scene.event(idempotency_key="l", digest=b"one")
        outcomes = scene.store.insert_events([first, scene.event(), scene.event(), late], 3)
        assert [type(one) for one in outcomes] == [Event, Event, Event, LimitReached]
        assert ids(scene.store.insert_events([again], 3)) == [first.id]
        [refused] = scene.store.insert_events([other], 100)
        assert isinstance(refused, IdempotencyConflict)

    def test_an_event_that_is_there_by_its_key_is_neither_counted_nor_refused(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        first = scene.event(idempotency_key="k", digest=b"d")
        assert ids(scene.store.insert_events([first], 2)) == [first.id]
        for _ in range(3):
            assert ids(scene.store.insert_events([scene.event(idempotency_key="k", digest=b"d")], 2)) == [first.id]
        assert _made(scene, 2, limit=2) == 1
        again = scene.event(idempotency_key="k", digest=b"d")
        assert ids(scene.store.insert_together([again], 2)) == [first.id]

    def test_more_at_once_than_the_limit_never_fit(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        with pytest.raises(LimitReached, match="4 events at once exceed the limit of 3 per minute"):
            scene.store.insert_together([scene.event() for _ in range(4)], 3)

    def test_however_many_emit_at_once_no_more_than_the_limit_get_through(self, scene: Scene) -> None:
        _at_the_start_of_a_minute(scene)
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda number: _made(scene, 1 + number % 3, limit=20), range(40))
            assert sum(made) == 20
        assert len(scene.events()) == 20


def _at_the_start_of_a_minute(scene: Scene) -> None:
    scene.clock.advance(60 - scene.clock().second - scene.clock().microsecond / 1_000_000)


def _made(scene: Scene, count: int, *, limit: int | None, tenant: str = ACME) -> int:
    """Emit events; return how many were not refused."""
    outcomes = scene.store.insert_events([scene.event(tenant=tenant) for _ in range(count)], limit)
    assert all(isinstance(one, Event | LimitReached) for one in outcomes)
    return sum(isinstance(one, Event) for one in outcomes)
