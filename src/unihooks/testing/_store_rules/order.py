"""The rules for ordered webhooks in every store: deliveries of one subject to an endpoint go one after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from attrs import evolve

from unihooks._model.log import DeliveryState, Event
from unihooks._model.policy import CircuitBreaker, DeliveryPolicy
from unihooks._model.webhooks import Endpoint
from unihooks.abc import ERASED, Capacity, Claimed, DeliveryFilter
from unihooks.testing._store_rules.scene import ACME, DAY, OTHER_URL, TOO_LONG, URL, Scene, ids


def _emitted(scene: Scene, count: int, subject: str = "order/7") -> list[Event]:
    """Emit events of one subject, and plan them."""
    events = [scene.emit(subject=subject) for _ in range(count)]
    scene.plan()
    return events


def _events(claimed: Sequence[Claimed]) -> list[str]:
    return [one.event_id for one in claimed]


def _sent(scene: Scene) -> list[str]:
    """Deliver what is due until nothing is; return the events in the order in which they were sent."""
    sent = []
    while claimed := scene.claim():
        sent += _events(claimed)
        scene.deliver(*claimed)
    return sent


class OrderRules:
    """The rules of `Webhook(ordered=True)`."""

    def test_only_the_first_delivery_of_a_subject_is_due(self, scene: Scene) -> None:
        scene.active(ordered=True)
        first, second, other = scene.emit(subject="a"), scene.emit(subject="a"), scene.emit(subject="b")
        assert scene.plan(capacity=100).deliveries == 3
        assert sorted(_events(scene.claim())) == sorted([first.id, other.id])
        [waiting] = scene.deliveries(event_id=second.id)
        assert (waiting.state, waiting.next_attempt_at, waiting.held) == (DeliveryState.PENDING, None, False)
        assert waiting.waiting == "waits for an earlier delivery about a"
        assert scene.store.statistics().due == 0

    def test_the_next_is_sent_when_one_was_delivered_or_failed_for_good(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 4)
        sent = []
        for end in (scene.deliver, scene.fail, scene.deliver, scene.fail):
            [claimed] = scene.claim()
            sent.append(claimed.event_id)
            recorded = end(claimed)
            assert (len(recorded.accepted), recorded.freed) == (1, int(len(sent) < 4))
        assert sent == ids(events)
        assert scene.claim() == []

    def test_a_retry_delays_only_its_own_subject_and_endpoint(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL, ordered=True)
        first, second = _emitted(scene, 2)
        stuck, other = sorted(scene.claim(), key=lambda one: one.endpoint_id != webhook.endpoints[0].id)
        assert scene.retry(stuck, after=60).freed == 0
        scene.deliver(other)
        [going_on] = scene.claim()
        assert (going_on.event_id, going_on.endpoint_id) == (second.id, other.endpoint_id)
        _emitted(scene, 1, subject="order/8")
        assert {one.subject for one in scene.claim()} == {"order/8"}
        scene.clock.advance(60)
        of_stuck = [one for one in scene.claim() if one.endpoint_id == stuck.endpoint_id]
        [again] = [one for one in of_stuck if one.subject == "order/7"]
        assert (again.event_id, again.attempt_count) == (first.id, 1)

    def test_later_deliveries_wait_for_pending_ones(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = [event for _ in range(3) for event in _emitted(scene, 1)]
        assert _events(scene.claim()) == [events[0].id]
        assert scene.claim() == []

    def test_a_lease_that_ends_or_is_given_back_lets_no_other_go(self, scene: Scene) -> None:
        scene.active(ordered=True)
        first, _ = _emitted(scene, 2)
        scene.claim(seconds=30)
        scene.clock.advance(31)
        [claimed] = scene.claim()
        scene.store.release([claimed])
        assert _events(scene.claim()) == [first.id]

    def test_results_of_several_subjects_let_the_next_of_each_go(self, scene: Scene) -> None:
        scene.active(ordered=True)
        for subject in "abc":
            _emitted(scene, 2, subject)
        one, two, three = scene.claim()
        results = [
            scene.result(one, DeliveryState.DELIVERED),
            scene.result(two, DeliveryState.PENDING, retry_in_us=60_000_000),
            scene.result(three, DeliveryState.FAILED, reason="no retry is left"),
        ]
        assert scene.store.record(results).freed == 2
        assert {item.subject for item in scene.claim()} == {one.subject, three.subject}

    def test_a_rendering_that_failed_lets_the_next_go(self, scene: Scene) -> None:
        scene.active(mapping=TOO_LONG, ordered=True)
        scene.emit(subject="a", payload={"items": [{"a": 1}] * 5000})
        _, second = scene.emit(subject="a"), scene.emit(subject="a")
        scene.plan()
        [claimed] = scene.claim()
        failed = evolve(scene.result(claimed, DeliveryState.FAILED, reason="too long"), attempt=None)
        assert scene.store.record([failed]).freed == 1
        scene.deliver(*scene.claim())
        assert _events(scene.claim()) == [second.id]

    # Actions of the host.

    def test_a_replay_takes_its_place_at_the_end(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 3)
        [first] = scene.claim()
        scene.deliver(first)
        assert scene.store.replay(ACME, first.id).next_attempt_at is None
        assert _sent(scene) == [events[1].id, events[2].id, events[0].id]
        assert scene.store.replay(ACME, first.id).next_attempt_at is not None
        assert _events(scene.claim()) == [events[0].id]

    def test_recovered_deliveries_go_to_the_end_in_the_order_of_emit(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        [failed] = _emitted(scene, 1)
        scene.fail(*scene.claim())
        scene.disable(webhook)
        missed = _emitted(scene, 2)
        scene.enable(webhook)
        [newest] = _emitted(scene, 1)
        assert scene.recover(webhook) == 3
        assert _sent(scene) == ids([newest, failed, *missed])

    def test_many_replays_keep_the_order_of_emit(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 3)
        for _ in events:
            scene.fail(*scene.claim())
        last = scene.deliveries()[0].id
        wanted = DeliveryFilter(state=DeliveryState.FAILED)
        assert scene.store.replay_many(ACME, wanted, after="", last=last, limit=100, most=100)[0] == 3
        assert _sent(scene) == ids(events)

    def test_cancelling_one_frees_the_next(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 4)
        [first, second, third, _] = [scene.deliveries(event_id=event.id)[0].id for event in events]
        scene.store.cancel(ACME, second, "by hand")
        assert _events(scene.claim()) == [events[0].id]
        scene.store.cancel(ACME, first, "by hand")
        assert _events(scene.claim()) == [events[2].id]
        scene.store.cancel(ACME, third, "by hand")
        assert _events(scene.claim()) == [events[3].id]

    def test_erasing_one_frees_the_next(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 4)
        assert scene.erase(events[0], events[2]) == 2
        assert _sent(scene) == [events[1].id, events[3].id]
        assert [one.reason for one in scene.deliveries(event_id=events[2].id)] == [ERASED]

    def test_erasing_a_replay_lets_the_next_go(self, scene: Scene) -> None:
        scene.active(ordered=True)
        [event] = _emitted(scene, 1)
        [claimed] = scene.claim()
        scene.deliver(claimed)
        scene.store.replay(ACME, claimed.id)
        scene.clock.advance(1)
        [second] = _emitted(scene, 1)
        scene.erase(event)
        assert _events(scene.claim()) == [second.id]

    def test_removing_an_endpoint_leaves_the_chains_of_others(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL, ordered=True)
        events = _emitted(scene, 2)
        claimed = scene.claim()
        kept = webhook.endpoints[1]
        scene.revise(webhook, endpoints=[kept])
        scene.deliver(*claimed)
        [going_on] = scene.claim()
        assert (going_on.event_id, going_on.endpoint_id) == (events[1].id, kept.id)
        scene.store.delete_webhook(ACME, webhook.id)
        assert scene.deliveries(state=DeliveryState.PENDING) == []

    def test_an_endpoint_that_comes_back_begins_anew(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        _emitted(scene, 2)
        scene.revise(webhook, endpoints=[Endpoint(OTHER_URL, id="end_new")])
        events = _emitted(scene, 2)
        assert _events(scene.claim()) == [events[0].id]

    def test_a_delivery_held_too_long_frees_newer_ones(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        _emitted(scene, 2)
        newer = scene.emit(subject="order/7")
        scene.clock.advance(1)
        scene.disable(webhook)
        scene.clock.advance(60)
        scene.plan()
        scene.clock.advance(DAY - 30)
        assert scene.expire(DAY) == 2
        scene.enable(webhook)
        assert _events(scene.claim()) == [newer.id]

    def test_a_delivery_that_ends_while_its_lane_is_closed_frees_the_next_once_it_is_open(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        events = _emitted(scene, 2)
        [claimed] = scene.claim()
        scene.deactivate(webhook)
        scene.deliver(claimed)
        assert scene.claim() == []
        scene.activate(webhook)
        assert _events(scene.claim()) == [events[1].id]

    def test_pruning_removes_ended_deliveries_and_keeps_the_order(self, scene: Scene) -> None:
        scene.active(ordered=True)
        events = _emitted(scene, 4)
        for _ in range(2):
            scene.deliver(*scene.claim())
        scene.clock.advance(DAY)
        assert scene.prune(1) == 2
        assert ids(scene.events()) == ids(events[:1:-1])
        [third] = scene.claim()
        assert third.event_id == events[2].id
        scene.deliver(third)
        assert scene.prune(1) == 1
        assert _events(scene.claim()) == [events[3].id]

    # Scope of the order.

    def test_switching_acts_on_events_planned_from_then_on(self, scene: Scene) -> None:
        webhook = scene.active()
        unordered = _emitted(scene, 2)
        scene.revise(webhook, ordered=True)
        assert scene.store.get_webhook(ACME, webhook.id).ordered
        ordered = _emitted(scene, 2)
        assert sorted(_events(scene.claim())) == sorted(ids([*unordered, ordered[0]]))
        scene.revise(webhook, ordered=False)
        later = _emitted(scene, 2)
        assert sorted(_events(scene.claim())) == ids(later)

    def test_events_without_a_subject_are_in_no_order_and_counted(self, scene: Scene) -> None:
        scene.active(URL, OTHER_URL, ordered=True)
        scene.active(URL)
        scene.several(3)
        assert len(scene.claim()) == 9
        assert scene.store.statistics().without_subject == 6
        _emitted(scene, 1)
        assert scene.store.statistics().without_subject == 6

    def test_tenants_and_webhooks_do_not_wait_for_each_other(self, scene: Scene) -> None:
        scene.active(ordered=True)
        scene.active(URL, ordered=True)
        scene.active(tenant="other", ordered=True)
        first = scene.emit(subject="a")
        scene.emit(subject="a")
        other = scene.emit(subject="a", tenant="other")
        scene.plan()
        assert sorted(_events(scene.claim())) == sorted([first.id, first.id, other.id])

    def test_a_webhook_without_order_gets_the_same_events_at_once(self, scene: Scene) -> None:
        scene.active(ordered=True)
        plain = scene.active(URL)
        events = [scene.emit(subject="a") for _ in range(3)]
        claimed = scene.plan(capacity=100).claimed
        assert _events(claimed) == ids(events)
        assert {one.webhook_id for one in claimed} == {plain.id}

    def test_an_ordered_endpoint_keeps_to_its_limits(self, scene: Scene) -> None:
        scene.active(ordered=True, policy=DeliveryPolicy(in_flight=1))
        emitted = {subject: ids(_emitted(scene, 2, subject)) for subject in "ab"}
        sent: dict[str, list[str]] = {subject: [] for subject in "ab"}
        for _ in range(4):
            [claimed] = scene.claim()
            assert scene.claim() == []
            sent[claimed.subject or ""].append(claimed.event_id)
            scene.deliver(claimed)
        assert sent == emitted
        assert scene.claim() == []

    def test_an_ordered_endpoint_gets_nothing_while_its_breaker_pauses(self, scene: Scene) -> None:
        scene.active(ordered=True)
        first, second = _emitted(scene, 2)
        for _ in range(5):
            scene.store.record(
                [scene.result(one, DeliveryState.PENDING, retry_in_us=0) for one in scene.claim()], CircuitBreaker()
            )
        assert scene.claim() == []
        scene.clock.advance(60)
        [probe] = scene.claim()
        assert probe.event_id == first.id
        scene.deliver(probe)
        assert _events(scene.claim()) == [second.id]

    # Planning.

    def test_an_event_is_not_planned_before_an_earlier_one_of_its_subject(self, scene: Scene) -> None:
        scene.active(*[f"https://{n}.example.com/" for n in range(300)], ordered=True)
        large, second, other = scene.emit(subject="a"), scene.emit(subject="a"), scene.emit(subject="b")
        planned: defaultdict[str, int] = defaultdict(int)
        for _ in range(30):
            if not scene.plan(2).more:
                break
            planned |= {one.id: self._count(scene, one) for one in (large, second, other)}
            assert not (planned[second.id] and planned[large.id] < 300)
        assert [self._count(scene, one) for one in (large, second, other)] == [300] * 3

    def _count(self, scene: Scene, event: Event) -> int:
        return scene.store.count_deliveries(ACME, DeliveryFilter(event_id=event.id), 1_000)

    def test_an_event_that_was_erased_before_it_was_planned_holds_up_no_other(self, scene: Scene) -> None:
        scene.active(ordered=True)
        first, second = scene.emit(subject="a"), scene.emit(subject="a")
        scene.erase(first)
        scene.plan()
        assert _events(scene.claim()) == [second.id]

    def test_an_event_recovered_before_it_was_planned_is_delivered_once(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        first, second = scene.emit(subject="a"), scene.emit(subject="a")
        assert scene.recover(webhook) == 2
        scene.deliver(*scene.claim())
        scene.plan()
        assert _sent(scene) == [second.id]
        assert [len(scene.deliveries(event_id=one.id)) for one in (first, second)] == [1, 1]
        scene.clock.advance(1)
        _emitted(scene, 1, subject="a")
        assert len(scene.claim()) == 1

    def test_order_is_that_of_emit_whoever_plans_claims_and_records(self, scene: Scene) -> None:
        webhook = scene.active(URL, OTHER_URL, ordered=True)
        subjects = [f"order/{number}" for number in range(6)]
        emitted = [scene.emit(subject=subjects[number % 6]) for number in range(120)]
        sent: list[Claimed] = []

        def work(number: int) -> None:
            idle = 0
            while idle < 20:
                scene.store.plan(scene.lease(), Capacity(4, 2), 7)
                claimed = scene.claim(5)
                sent.extend(claimed)
                if number % 2:
                    claimed.reverse()
                scene.deliver(*claimed)
                idle = 0 if claimed else idle + 1

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, number) for number in range(4)]:
                done.result()
        wanted = {subject: [one.id for one in emitted if one.subject == subject] for subject in subjects}
        for endpoint in webhook.endpoints:
            for subject in subjects:
                arrived = [one.event_id for one in sent if (one.endpoint_id, one.subject) == (endpoint.id, subject)]
                assert arrived == wanted[subject]

    def test_statistics_work_while_deliveries_wait(self, scene: Scene) -> None:
        webhook = scene.active(ordered=True)
        _emitted(scene, 2)
        scene.claim()
        assert scene.health(webhook) is not None
        assert scene.store.statistics().in_flight == 1
        assert scene.store.work().next_due is not None
