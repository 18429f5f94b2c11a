"""The rules that every store follows when it leases due deliveries, lane by lane."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from unihooks._base.times import SECOND, from_us
from unihooks._model.webhooks import EventSubscription
from unihooks.abc import Capacity, Claimed, Share, Watcher
from unihooks.testing._store_rules.scene import ACME, OTHER_URL, URL, Scene, ids


class ClaimingRules:
    """The rules of `claim`, `release` and `work`."""

    def test_a_due_delivery_is_claimed_with_all_that_sending_needs(self, scene: Scene) -> None:
        webhook = scene.active()
        event = scene.planned("paid", {"a": 1})
        [claimed] = scene.claim()
        assert claimed == Claimed(
            ACME, scene.deliveries()[0].id, event.id, webhook.id, webhook.endpoints[0].id, "shop", "paid",
            b'{"a":1}', 0, 0, claimed.token, scene.store.config_versions([ACME])[ACME],
        )  # fmt: skip

    def test_a_leased_delivery_is_claimed_again_only_when_its_lease_has_ended(self, scene: Scene) -> None:
        scene.active()
        scene.pending()
        for seconds in (30, 5):
            [first] = scene.claim(seconds=seconds)
            scene.clock.advance(seconds - 0.1)
            assert scene.claim() == []
            scene.clock.advance(0.1)
            [second] = scene.claim()
            assert (second.id, second.attempt_count) == (first.id, 0)
            assert second.token != first.token
            scene.store.release([second])

    def test_what_planning_leased_is_due_again_when_its_lease_has_ended(self, scene: Scene) -> None:
        scene.active()
        scene.emit()
        scene.plan(capacity=1)
        scene.clock.advance(29.9)
        assert scene.claim() == []
        scene.clock.advance(0.1)
        assert len(scene.claim()) == 1

    def test_a_retry_is_not_claimed_before_its_time(self, scene: Scene) -> None:
        scene.active()
        scene.retry(scene.claimed(), after=300)
        scene.clock.advance(299.9)
        assert scene.claim() == []
        scene.clock.advance(0.1)
        [claimed] = scene.claim()
        assert (claimed.attempt_count, claimed.elapsed_us) == (1, 300 * SECOND)

    def test_racing_workers_never_claim_the_same_delivery(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.several(30)

        def claim_all(_: int) -> list[Claimed]:
            taken: list[Claimed] = []
            while some := scene.claim(5, 3):
                taken += some
            return taken

        with ThreadPoolExecutor(4) as pool:
            claimed = [one.id for some in pool.map(claim_all, range(4)) for one in some]
        assert sorted(claimed) == sorted(ids(scene.deliveries()))

    # Capacity and turns.

    def test_no_more_is_claimed_than_there_is_room_for(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.several(10)
        assert len(scene.claim(3, 10)) == 3
        counts = Counter(one.endpoint_id for one in scene.claim(100, 2))
        assert counts == dict.fromkeys(ids(webhook.endpoints), 2)
        assert scene.claim(0, 10) == []

    def test_a_full_lane_is_skipped(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        full, free = ids(webhook.endpoints)
        scene.several(4)
        claimed = scene.store.claim(scene.lease(), Capacity(3, 3, {full: 3}))
        assert [one.endpoint_id for one in claimed] == [free] * 3

    def test_the_longest_due_lanes_come_first(self, scene: Scene) -> None:
        for event_type in "abc":
            scene.active(subscriptions=[EventSubscription("shop", event_type)])
        for event_type in "bac":
            scene.planned(event_type)
            scene.clock.advance(1)
        assert [scene.claim(1, 1)[0].event_type for _ in "bac"] == ["b", "a", "c"]

    def test_tenants_take_turns(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL)
        scene.active(tenant="other")
        scene.several(20)
        scene.clock.advance(1)
        scene.planned(tenant="other")
        assert "other" in {one.tenant for one in scene.claim(4, 4)}

    # Shares.

    def test_a_worker_takes_lanes_of_its_own_first_and_others_after_half_a_second(self, scene: Scene) -> None:
        endpoints = set(ids(scene.active(*[f"https://{n}.example.com/" for n in range(20)]).endpoints))
        scene.planned()
        one, other = Share(0, 2), Share(1, 2)
        claimed = scene.store.claim(scene.lease(), Capacity(100, 100), one)
        assert {item.endpoint_id for item in claimed} == endpoints - one.of_others(endpoints) != set()
        scene.clock.advance(0.5)
        # Leased deliveries are not due, and the rest have been left to their worker for long enough.
        claimed = scene.store.claim(scene.lease(), Capacity(1, 1), one)
        claimed += scene.store.claim(scene.lease(), Capacity(100, 100), one)
        assert {item.endpoint_id for item in claimed} == endpoints - other.of_others(endpoints)

    def test_a_workers_own_lanes_come_before_overdue_lanes_of_others(self, scene: Scene) -> None:
        endpoints = set(ids(scene.active(*[f"https://{n}.example.com/" for n in range(20)]).endpoints))
        scene.planned()
        scene.clock.advance(5)
        one = Share(0, 2)
        own = endpoints - one.of_others(endpoints)
        claimed = scene.store.claim(scene.lease(), Capacity(len(own), 100), one)
        assert {item.endpoint_id for item in claimed} == own

    def test_work_tells_of_lanes_of_others_half_a_second_later(self, scene: Scene) -> None:
        [endpoint] = ids(scene.active().endpoints)
        scene.pending()
        due = scene.store.now()
        shares = {bool(share.of_others([endpoint])): share for share in (Share(0, 2), Share(1, 2))}
        work = scene.store.work(shares[False])
        assert (work.next_due, work.first_due) == (due, due)
        work = scene.store.work(shares[True])
        assert (work.next_due, work.first_due) == (due + SECOND // 2, due)

    def test_planning_leases_nothing_from_lanes_of_others_with_due_deliveries(self, scene: Scene) -> None:
        endpoints = set(ids(scene.active(*[f"https://{n}.example.com/" for n in range(20)]).endpoints))
        one = Share(0, 2)
        leased = []
        for _ in range(2):
            scene.emit()
            planned = scene.store.plan(scene.lease(), Capacity(100, 100), 100, 100, one)
            leased.append({item.endpoint_id for item in planned.claimed})
            scene.planned()
        # At first nothing was due.
        assert leased == [endpoints, endpoints - one.of_others(endpoints)]
        assert scene.store.work().next_due == scene.store.now()

    # Closed lanes.

    def test_a_closed_lane_is_skipped_and_continues_when_it_opens(self, scene: Scene) -> None:
        webhook = scene.active()
        delivery = scene.pending()
        for close, reopen in ((scene.deactivate, scene.activate), (scene.disable, scene.enable)):
            close(webhook)
            assert scene.claim() == []
            assert scene.delivery(delivery.id).held
            reopen(webhook)
            assert not scene.delivery(delivery.id).held
            [claimed] = scene.claim()
            assert claimed.id == delivery.id
            scene.store.release([claimed])

    def test_a_lane_is_open_only_if_both_webhook_and_endpoint_are(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.disable(webhook)
        scene.deactivate(webhook)
        scene.enable(webhook)
        assert scene.claim() == []
        scene.activate(webhook)
        assert len(scene.claim()) == 1

    def test_a_closed_endpoint_does_not_hold_its_sibling(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL)
        scene.planned()
        scene.disable(webhook)
        assert [one.endpoint_id for one in scene.claim()] == [webhook.endpoints[1].id]

    def test_time_held_is_not_time_elapsed(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.retry(scene.claimed(), after=60)
        scene.clock.advance(20)
        scene.deactivate(webhook)
        scene.clock.advance(86_400)
        scene.activate(webhook)
        scene.clock.advance(50)
        [second] = scene.claim()
        assert second.elapsed_us == 70 * SECOND
        scene.retry(second, after=10)
        scene.disable(webhook)
        scene.clock.advance(3_600)
        scene.enable(webhook)
        scene.clock.advance(30)
        [third] = scene.claim()
        assert third.elapsed_us == 100 * SECOND

    def test_time_held_before_the_first_attempt_does_not_count_as_elapsed(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.pending()
        scene.deactivate(webhook)
        scene.clock.advance(3_600)
        scene.activate(webhook)
        scene.retry(*scene.claim(), after=60)
        scene.clock.advance(60)
        [again] = scene.claim()
        assert again.elapsed_us == 60 * SECOND

    # Release.

    def test_a_released_delivery_is_due_now(self, scene: Scene) -> None:
        scene.active()
        first = scene.claimed()
        scene.store.release([first])
        [second] = scene.claim()
        assert (second.id, second.attempt_count) == (first.id, 0)

    def test_a_release_after_someone_else_has_claimed_does_nothing(self, scene: Scene) -> None:
        scene.active()
        first = scene.claimed()
        scene.clock.advance(31)
        [second] = scene.claim()
        scene.store.release([first])
        assert scene.claim() == []
        assert list(scene.deliver(second).accepted) == [second.id]
        scene.store.release([second])
        assert scene.claim() == []

    # Peeking.

    def test_work_says_when_an_open_lane_is_next_due(self, scene: Scene) -> None:
        store = scene.store
        webhook = scene.active()
        assert (store.work().new_events, store.work().next_due) == (False, None)
        delivery = scene.pending()
        assert due_by(scene, store.now())
        [claimed] = scene.claim()
        assert due_by(scene, store.now() + 30 * SECOND)
        scene.retry(claimed, after=300)
        assert due_by(scene, store.now() + 300 * SECOND)
        scene.clock.advance(301)
        scene.deliver(*scene.claim())
        scene.clock.advance(31)  # a lane may lag behind until it is looked at
        assert scene.claim() == []
        assert store.work().next_due is None
        scene.store.replay(ACME, delivery.id)
        assert due_by(scene, store.now())
        scene.deactivate(webhook)
        assert store.work().next_due is None
        scene.activate(webhook)
        assert due_by(scene, store.now())

    def test_figures_count_the_queue(self, scene: Scene) -> None:
        webhook = scene.active()
        scene.active(OTHER_URL)
        scene.several(3)
        scene.claim(3, 2)
        assert queue(scene) == {"due": 3, "held": 0, "in_flight": 3}
        scene.clock.advance(31)
        assert queue(scene) == {"due": 6, "held": 0, "in_flight": 0}
        scene.deactivate(webhook)
        assert queue(scene) == {"due": 3, "held": 3, "in_flight": 0}

    def test_figures_name_the_workers_seen_within_a_minute(self, scene: Scene) -> None:
        for worker_id in ("one", "two", "three"):
            scene.store.heartbeat(worker_id)
        scene.store.heartbeat("three", gone=True)
        scene.clock.advance(40)
        scene.store.heartbeat("two")
        two_at = scene.store.now()
        assert {one.id for one in scene.store.statistics().workers} == {"one", "two"}
        scene.clock.advance(21)
        [two] = scene.store.statistics().workers
        assert (two.id, two.seen_at) == ("two", from_us(two_at))
        assert two.host
        assert two.pid > 0

    def test_a_peek_shows_all_work_or_nothing(self, scene: Scene) -> None:
        scene.active()
        for _ in range(2):
            work = scene.store.work()
            assert scene.store.peek() in (None, work)
            scene.submit(scene.event())

    def test_a_watcher_is_notified_of_emits_and_of_wake_ups(self, scene: Scene) -> None:
        watcher = Told()
        unwatch = scene.store.watch(watcher)
        scene.submit(scene.event())
        assert watcher.times.acquire(timeout=10)
        scene.store.wake()
        assert watcher.times.acquire(timeout=10)
        unwatch()
        scene.store.wake()
        assert not watcher.times.acquire(blocking=False)

    def test_a_worker_looks_at_least_every_second(self, scene: Scene) -> None:
        first, most = scene.store.look_seconds()
        assert 0 < first <= most <= 1


class Told(Watcher):
    """A watcher that counts what it is told."""

    def __init__(self) -> None:
        self.times = threading.Semaphore(0)

    def emitted(self) -> None:
        """Count it."""
        self.times.release()

    changed = expected = emitted


def due_by(scene: Scene, at: int) -> bool:
    """Return whether work is announced, and not later than it is due."""
    next_due = scene.store.work().next_due
    return next_due is not None and next_due <= at


def queue(scene: Scene) -> dict[str, int]:
    """Return the counts of the queue."""
    figures = scene.store.statistics()
    return {"due": figures.due, "held": figures.held, "in_flight": figures.in_flight}
