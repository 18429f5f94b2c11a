"""The rules that every store follows for the state of a console: versions, limits, ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from unihooks._base.times import SECOND
from unihooks._contract.console_state import MOST_STATE_BYTES, State, StateKey, StateKind
from unihooks.exceptions import Conflict, InvalidArgument, LimitReached, NotFound
from unihooks.testing._store_rules.scene import ACME, DAY, Scene

ADA, BOB = "ada", "bob"
_DRAFT = StateKind.DRAFT
_KEPT_US = DAY * SECOND


class StateRules:
    """The rules of `put_state` and of what reads, drops and expires it."""

    def test_state_is_kept_as_it_was_given_and_changed_by_version(self, scene: Scene) -> None:
        value = {"name": "N\u00e4me \0 \ud800", "rows": [{"url": "https://a.example"}], "n": 1.5, "none": None}
        first = _put(scene, "one", value)
        assert first.key == _key("one")
        assert (first.version, first.value) == (1, value)
        assert (first.created_at, first.updated_at) == (scene.store.now(), scene.store.now())
        scene.clock.advance(10)
        second = _put(scene, "one", {"name": "b"}, version=1)
        assert scene.store.get_state(_key("one")) == second
        assert (second.version, second.value, second.created_at) == (2, {"name": "b"}, first.created_at)
        assert (second.updated_at, second.expires_at) == (scene.store.now(), scene.store.now() + _KEPT_US)

    def test_the_second_of_two_changes_to_one_version_is_refused(self, scene: Scene) -> None:
        _put(scene, "one", {"n": 1})
        _put(scene, "one", {"n": 2}, version=1)
        for version in (0, 1, 3):
            with pytest.raises(Conflict) as refused:
                _put(scene, "one", {"n": 3}, version=version)
            assert refused.value.name == "version"
        with pytest.raises(NotFound):
            _put(scene, "gone", {"n": 3}, version=1)
        assert scene.store.get_state(_key("one")).value == {"n": 2}

    def test_state_belongs_to_its_tenant_owner_and_kind(self, scene: Scene) -> None:
        _put(scene, "one", {"n": 1})
        for tenant, owner, kind in ((ACME, BOB, _DRAFT), ("other", ADA, _DRAFT), (ACME, ADA, StateKind.RECEIVER)):
            key = StateKey(tenant, owner, kind, "one")
            with pytest.raises(NotFound):
                scene.store.get_state(key)
            assert scene.store.list_state(tenant, owner, kind) == []
            assert not scene.store.drop_state(key)
            scene.store.put_state(key, {"n": 2}, keep_us=_KEPT_US, at_most=1)
        assert scene.store.get_state(_key("one")).value == {"n": 1}

    def test_state_is_found_by_its_id_only(self, scene: Scene) -> None:
        kept = _put(scene, "one", {"n": 1})
        assert scene.store.find_state(_DRAFT, "one") == kept
        assert scene.store.find_state(StateKind.RECEIVER, "one") is None
        assert scene.store.find_state(_DRAFT, "two") is None

    def test_the_last_changed_state_is_listed_first(self, scene: Scene) -> None:
        for id_ in ("one", "two", "three"):
            _put(scene, id_, {})
            scene.clock.advance(1)
        _put(scene, "one", {"n": 1}, version=1)
        assert [one.key.id for one in scene.store.list_state(ACME, ADA, _DRAFT)] == ["one", "three", "two"]
        assert [one.key.id for one in scene.store.list_state(ACME, ADA, _DRAFT, limit=1)] == ["one"]

    def test_an_owner_has_a_limited_number_of_each_kind(self, scene: Scene) -> None:
        for id_ in ("one", "two"):
            _put(scene, id_, {}, at_most=2)
        with pytest.raises(LimitReached) as refused:
            _put(scene, "three", {}, at_most=2)
        assert refused.value.name == "draft"
        _put(scene, "two", {"n": 1}, version=1, at_most=2)
        assert scene.store.drop_state(_key("one"))
        _put(scene, "three", {}, at_most=2)

    def test_the_oldest_is_replaced_on_request(self, scene: Scene) -> None:
        for id_ in ("one", "two", "three"):
            _put(scene, id_, {}, at_most=2, oldest_goes=True)
            scene.clock.advance(1)
        assert [one.key.id for one in scene.store.list_state(ACME, ADA, _DRAFT)] == ["three", "two"]

    def test_of_many_that_are_added_at_once_no_more_are_kept_than_may_be(self, scene: Scene) -> None:
        def add(number: int) -> bool:
            try:
                _put(scene, str(number), {}, at_most=3)
            except LimitReached:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(add, range(12))) == 3
        assert len(scene.store.list_state(ACME, ADA, _DRAFT)) == 3

    def test_expired_state_is_not_found(self, scene: Scene) -> None:
        _put(scene, "one", {"n": 1}, at_most=1)
        scene.clock.advance(DAY + 1)
        with pytest.raises(NotFound):
            _put(scene, "one", {"n": 2}, version=1)
        with pytest.raises(NotFound):
            scene.store.get_state(_key("one"))
        assert scene.store.find_state(_DRAFT, "one") is None
        assert scene.store.list_state(ACME, ADA, _DRAFT) == []
        assert _put(scene, "two", {}, at_most=1).version == 1
        assert _put(scene, "one", {"n": 3}, at_most=2).version == 1
        assert scene.store.get_state(_key("one")).created_at == scene.store.now()

    def test_expired_state_is_removed_in_batches(self, scene: Scene) -> None:
        for id_ in ("one", "two", "three"):
            _put(scene, id_, {})
        scene.clock.advance(DAY - 1)
        _put(scene, "three", {}, version=1)
        assert scene.store.expire_state(scene.store.now(), 10) == 0
        scene.clock.advance(2)
        assert [scene.store.expire_state(scene.store.now(), 1) for _ in range(3)] == [1, 1, 0]
        assert scene.store.get_state(_key("three")).version == 2

    def test_state_that_is_too_long_is_refused(self, scene: Scene) -> None:
        with pytest.raises(InvalidArgument):
            _put(scene, "one", {"text": "x" * MOST_STATE_BYTES})
        assert scene.store.list_state(ACME, ADA, _DRAFT) == []

    def test_an_erased_tenant_has_no_state(self, scene: Scene) -> None:
        _put(scene, "one", {})
        scene.store.put_state(StateKey("other", ADA, _DRAFT, "one"), {}, keep_us=_KEPT_US, at_most=5)
        scene.erase_tenant()
        assert scene.store.list_state(ACME, ADA, _DRAFT) == []
        assert len(scene.store.list_state("other", ADA, _DRAFT)) == 1

    def test_requests_of_test_receivers_are_erased_with_events(self, scene: Scene) -> None:
        for kind in StateKind:
            scene.store.put_state(_key("one", kind), {}, keep_us=_KEPT_US, at_most=5)
        scene.store.put_state(StateKey("other", ADA, StateKind.RECEIVED, "two"), {}, keep_us=_KEPT_US, at_most=5)
        scene.store.erase(ACME, event_ids=["evt_1"], limit=10)
        assert scene.store.list_state(ACME, ADA, StateKind.RECEIVED) == []
        assert all(scene.store.list_state(ACME, ADA, kind) for kind in (_DRAFT, StateKind.RECEIVER))
        assert scene.store.list_state("other", ADA, StateKind.RECEIVED)


def _key(id_: str, kind: StateKind = _DRAFT) -> StateKey:
    return StateKey(ACME, ADA, kind, id_)


def _put(scene: Scene, id_: str, value: dict[str, Any], *, at_most: int = 5, **more: Any) -> State:
    return scene.store.put_state(_key(id_), value, keep_us=_KEPT_US, at_most=at_most, **more)
