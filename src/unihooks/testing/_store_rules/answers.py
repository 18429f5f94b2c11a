"""The rules that every store follows when it remembers responses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from unihooks._contract.configuration import IdempotencyRecord
from unihooks.testing._store_rules.scene import ACME, DAY, Scene

ONE, OTHER = b"\x00one", b"\x00other"


class AnswersRules:
    """The rules of `reserve_answer`, `keep_answer` and `drop_answer`."""

    def test_a_request_is_done_once_and_its_response_kept_for_a_day(self, scene: Scene) -> None:
        store = scene.store
        assert store.reserve_answer(ACME, "key", ONE) is None
        assert store.reserve_answer(ACME, "key", OTHER) == IdempotencyRecord(ONE, None, None)
        store.keep_answer(ACME, "key", 201, b'{"a":1}')
        scene.clock.advance(DAY)
        assert store.reserve_answer(ACME, "key", ONE) == IdempotencyRecord(ONE, 201, b'{"a":1}')
        scene.clock.advance(1)
        assert store.reserve_answer(ACME, "key", OTHER) is None

    def test_keys_belong_to_their_tenant(self, scene: Scene) -> None:
        assert scene.store.reserve_answer(ACME, "key", ONE) is None
        assert scene.store.reserve_answer("other", "key", OTHER) is None
        scene.store.keep_answer("other", "key", 200, b"{}")
        scene.store.drop_answer("other", "key")
        assert scene.store.reserve_answer(ACME, "key", ONE) == IdempotencyRecord(ONE, None, None)

    def test_a_request_that_was_dropped_or_got_no_response_can_be_done_again(self, scene: Scene) -> None:
        assert scene.store.reserve_answer(ACME, "dropped", ONE) is None
        scene.store.drop_answer(ACME, "dropped")
        assert scene.store.reserve_answer(ACME, "dropped", ONE) is None
        scene.clock.advance(300)
        assert scene.store.reserve_answer(ACME, "dropped", ONE) is not None
        scene.clock.advance(1)
        assert scene.store.reserve_answer(ACME, "dropped", ONE) is None

    def test_the_oldest_responses_of_a_tenant_are_forgotten_first(self, scene: Scene) -> None:
        store = scene.store
        assert store.reserve_answer("other", "0", ONE, at_most=2) is None
        for key in ("1", "2", "3"):
            scene.clock.advance(1)
            assert store.reserve_answer(ACME, key, ONE, at_most=2) is None
            store.keep_answer(ACME, key, 200, b"{}")
        scene.clock.advance(1)
        assert store.reserve_answer(ACME, "3", ONE, at_most=2) is not None
        assert store.reserve_answer("other", "0", ONE, at_most=2) is not None
        assert store.reserve_answer(ACME, "1", ONE, at_most=2) is None

    def test_one_of_many_concurrent_requests_is_carried_out(self, scene: Scene) -> None:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: scene.store.reserve_answer(ACME, "key", ONE), range(12)))
        assert found.count(None) == 1

    def test_old_responses_are_pruned_with_old_events(self, scene: Scene) -> None:
        scene.store.reserve_answer(ACME, "key", ONE)
        scene.store.keep_answer(ACME, "key", 200, b"{}")
        scene.clock.advance(60)
        scene.prune(seconds=61)
        assert scene.store.reserve_answer(ACME, "key", ONE) is not None
        scene.prune(seconds=59)
        assert scene.store.reserve_answer(ACME, "key", ONE) is None
