from __future__ import annotations

import math
import random

import pytest

from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.waiting import Leased
from unihooks.abc import Claimed, Terms

FAST, SLOW = 0.01, 5.0


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def leased(endpoint_id, number=0, tenant="t", event="e"):
    claimed = Claimed(tenant, f"{endpoint_id}{number}", event, "w", endpoint_id, "p", "x", b"", 0, 0, 1, 1)
    return Leased(claimed, math.inf)


def fill(queues, endpoint_id, count, tenant="t"):
    for number in range(count):
        queues.add(leased(endpoint_id, number, tenant))


def started(queues):
    """Start all that may start; return the endpoints in order."""
    endpoints = []
    while (one := queues.next()) is not None:
        endpoints.append(one.claimed.endpoint_id)
    return endpoints


def run(queues, endpoint_id, *, succeeded=True, seconds=FAST, tenant="t"):
    """Make one attempt alone."""
    queues.add(leased(endpoint_id, tenant=tenant))
    assert started(queues) == [endpoint_id]
    queues.done(endpoint_id, succeeded=succeeded, seconds=seconds)


def trust(queues, endpoint_id, tenant="t"):
    run(queues, endpoint_id, tenant=tenant)


def distrust(queues, endpoint_id, tenant="t"):
    run(queues, endpoint_id, tenant=tenant, succeeded=False, seconds=SLOW)
    queues.clock.now += SLOW


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queues(clock):
    return EndpointQueues(concurrency=100, per_endpoint=8, ahead=5, clock=clock)


def test_endpoints_are_served_in_turn(queues):
    fill(queues, "a", 3)
    fill(queues, "b", 2)
    assert started(queues) == ["a", "b", "a", "b"]


def test_a_new_endpoint_starts_with_two_in_flight(queues):
    fill(queues, "a", 10)
    assert started(queues) == ["a", "a"]
    assert (queues.running, queues.waiting, queues.load) == (2, 8, 10)


def test_an_endpoint_that_responds_fast_earns_its_width(queues):
    fill(queues, "a", 50)
    widths = []
    running = len(started(queues))
    for _ in range(4):
        queues.done("a", succeeded=True, seconds=FAST)
        running += len(started(queues)) - 1
        widths.append(running)
    assert widths == [4, 8, 8, 8]


def test_an_endpoint_that_fails_slowly_loses_its_width_down_to_one(queues):
    fill(queues, "a", 50)
    for _ in range(3):
        started(queues)
        queues.done("a", succeeded=True, seconds=FAST)
    started(queues)
    while queues.running > 1:
        queues.done("a", succeeded=False, seconds=SLOW)
    queues.done("a", succeeded=False, seconds=SLOW)
    assert started(queues) == ["a"]


def test_a_fast_failure_keeps_the_width_and_a_slow_success_caps_it(queues):
    fill(queues, "a", 50)
    started(queues)
    queues.done("a", succeeded=False, seconds=FAST)
    assert len(started(queues)) == 1
    for _ in range(5):
        queues.done("a", succeeded=True, seconds=FAST)
        started(queues)
    assert queues.running == 8
    queues.done("a", succeeded=True, seconds=SLOW)
    assert started(queues) == []
    for _ in range(4):
        queues.done("a", succeeded=True, seconds=SLOW)
    assert len(started(queues)) == 1
    assert queues.running == 4


def test_a_width_is_remembered_while_nothing_is_due(queues):
    fill(queues, "a", 1)
    for _ in range(3):
        started(queues)
        queues.done("a", succeeded=True, seconds=FAST)
        fill(queues, "a", 1)
    started(queues)
    queues.done("a", succeeded=True, seconds=FAST)
    fill(queues, "a", 20)
    assert len(started(queues)) == 8


def test_a_limited_number_of_widths_is_remembered(queues, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.experience._KNOWN", 2)
    for endpoint_id in ("a", "b", "c"):
        fill(queues, endpoint_id, 1)
        started(queues)
        queues.done(endpoint_id, succeeded=True, seconds=FAST)
    fill(queues, "a", 10)
    fill(queues, "c", 10)
    assert sorted(started(queues)) == ["a"] * 2 + ["c"] * 4


def test_no_more_than_concurrency_are_in_flight():
    queues = EndpointQueues(concurrency=3, per_endpoint=8)
    for endpoint_id in "abcde":
        fill(queues, endpoint_id, 2)
    assert started(queues) == ["a", "b", "c"]
    queues.done("a", succeeded=True, seconds=FAST)
    assert len(started(queues)) == 1


def test_a_width_is_at_most_per_endpoint():
    queues = EndpointQueues(concurrency=100, per_endpoint=1)
    fill(queues, "a", 10)
    for _ in range(5):
        assert started(queues) == ["a"]
        queues.done("a", succeeded=True, seconds=FAST)


def test_capacity_excludes_leased_deliveries():
    queues = EndpointQueues(concurrency=4, per_endpoint=4, ahead=4)
    assert queues.capacity().total == 16
    fill(queues, "a", 2)
    capacity = queues.capacity()
    assert capacity.total == 14
    # A new endpoint gets no lease ahead of its two places.
    assert capacity.left("a") == 0
    assert capacity.left("b") == 2
    assert capacity.take("b")
    assert capacity.take("b")
    assert not capacity.take("b")
    assert capacity.total == 12


def test_a_fast_endpoint_gets_leases_ahead_of_its_width():
    queues = EndpointQueues(concurrency=100, per_endpoint=2, ahead=4)
    assert queues.capacity().left("a") == 8
    fill(queues, "a", 3)
    assert queues.capacity().left("a") == 5


def test_a_full_worker_has_no_room():
    queues = EndpointQueues(concurrency=1, per_endpoint=1, ahead=2)
    trust(queues, "a")
    fill(queues, "a", 2)
    assert queues.capacity().total == 0
    assert queues.capacity().left("b") == 0


def test_in_use_lists_no_endpoint_while_all_have_capacity(queues):
    taken = queues.capacity().in_use
    assert (list(taken), len(taken)) == ([], 0)


def test_deliveries_that_have_not_started_can_be_taken_out(queues):
    fill(queues, "a", 5)
    fill(queues, "b", 1)
    queues.next()
    left = queues.take_waiting()
    assert len(left) == 5
    assert (queues.waiting, queues.running) == (0, 1)
    assert queues.next() is None
    queues.done("a", succeeded=True, seconds=FAST)
    assert queues.load == 0


def test_a_closed_endpoint_starts_nothing_and_has_no_capacity_until_it_is_opened(queues):
    fill(queues, "a", 5)
    fill(queues, "b", 1)
    assert started(queues) == ["a", "b", "a"]
    queues.close("a")
    queues.done("a", succeeded=True, seconds=FAST)
    fill(queues, "a", 1)
    assert started(queues) == []
    assert queues.capacity().left("a") == 0
    queues.open("a")
    assert started(queues) == ["a", "a", "a"]


def test_a_copy_of_a_capacity_takes_from_itself_alone(queues):
    fill(queues, "a", 1)
    capacity = queues.capacity()
    copy = capacity.copy()
    assert copy.take("a")
    assert (copy.left("a"), capacity.left("a")) == (0, 1)
    assert copy.in_use is capacity.in_use


def test_tenants_take_turns_however_many_endpoints_one_has(queues):
    for number in range(5):
        fill(queues, f"a{number}", 1, tenant="wide")
    fill(queues, "b", 2, tenant="narrow")
    assert started(queues)[:4] == ["a0", "b", "a1", "b"]


def test_endpoints_that_fail_slowly_hold_a_quarter_of_the_places_together(queues):
    for number in range(60):
        distrust(queues, f"a{number}")
    for number in range(60):
        fill(queues, f"a{number}", 1)
    assert len(started(queues)) == 25
    fill(queues, "b", 1)
    assert started(queues) == ["b"]
    queues.done("a0", succeeded=False, seconds=SLOW)
    assert len(started(queues)) == 1


def started_within(queues, seconds):
    """Start what may start in this many seconds, during which no endpoint responds."""
    endpoints = []
    for _ in range(round(seconds * 20)):
        endpoints += started(queues)
        queues.clock.now += 0.05
    return endpoints


def test_new_endpoints_leave_places_to_those_that_have_responded_fast(queues):
    trust(queues, "b")
    for number in range(200):
        fill(queues, f"a{number}", 1)
    assert 70 < len(started_within(queues, 60)) < 88
    fill(queues, "b", 4)
    assert started(queues) == ["b"] * 4
    fill(queues, "c", 1, tenant="another")
    assert started(queues) == ["c"]


def test_new_endpoints_of_one_tenant_leave_places_to_those_of_another(queues):
    trust(queues, "b", tenant="other")
    for number in range(200):
        fill(queues, f"a{number}", 1, tenant="wide")
    assert 50 < len(started_within(queues, 60)) < 80
    fill(queues, "c", 1, tenant="other")
    assert started(queues) == ["c"]


def test_few_of_thousands_of_new_endpoints_begin_at_once_and_more_after_fast_responses():
    queues = EndpointQueues(concurrency=512, per_endpoint=32, clock=Clock())
    for number in range(2_000):
        fill(queues, f"a{number}", 1)
    running = started(queues)
    assert len(running) == 59
    for turn in range(3):
        for endpoint_id in running:
            queues.done(endpoint_id, succeeded=turn == 1, seconds=FAST)
        running = started(queues)
    # As many as may be in flight, less the places for others.
    assert len(running) == 416


def test_a_healthy_endpoint_is_reached_soon_beside_thousands_that_hang():
    clock = Clock()
    queues = EndpointQueues(concurrency=512, per_endpoint=32, clock=clock)
    for number in range(2_000):
        queues.add(leased(f"hangs{number}", event="e"))
    ends, waits, healthy = [], {}, {}
    for turn in range(6_020):
        clock.now = turn / 100
        if turn % 50 == 49:
            # One after another they get their first event.
            healthy[f"answers{turn}"] = clock.now
            queues.add(leased(f"answers{turn}", event=f"e{turn:04}"))
        for at, endpoint_id, seconds in [one for one in ends if one[0] <= clock.now]:
            ends.remove((at, endpoint_id, seconds))
            queues.done(endpoint_id, succeeded=endpoint_id in healthy, seconds=seconds)
        for endpoint_id in started(queues):
            seconds = FAST if endpoint_id in healthy else 20.0
            ends.append((clock.now + seconds, endpoint_id, seconds))
            if endpoint_id in healthy:
                waits[endpoint_id] = clock.now - healthy[endpoint_id]
    assert len(waits) == len(healthy) == 120
    assert max(waits.values()) <= 1.0


def test_a_tenant_with_little_in_flight_does_not_wait_for_the_first_contacts_of_others():
    queues = EndpointQueues(concurrency=512, per_endpoint=32, clock=Clock())
    for number in range(2_000):
        fill(queues, f"a{number}", 1, tenant="wide")
    started(queues)
    fill(queues, "b", 1, tenant="narrow")
    assert started(queues) == ["b"]


def test_while_few_may_begin_the_newest_takes_turns_with_the_oldest_and_each_has_one_place(queues, clock):
    for number in range(40):
        queues.add(leased(f"a{number:02}", event=f"e{99 - number}"))
    started(queues)
    queues.add(leased("newest", event="e999"))
    queues.add(leased("newest", 1, event="e999"))
    clock.now += 0.5
    assert "newest" in started(queues)[:2]
    assert "newest" not in started_within(queues, 1)


def test_after_a_pause_an_endpoint_that_was_never_reached_may_begin(queues, clock):
    assert queues.pause is None
    for number in range(40):
        fill(queues, f"a{number}", 1)
    started(queues)
    assert 0 < queues.pause < 1
    clock.now += queues.pause + 0.001
    assert len(started(queues)) == 1


def test_deliveries_that_wait_for_a_first_contact_are_released_when_their_lease_ends(queues, clock):
    for number in range(40):
        queues.add(Leased(leased(f"a{number}").claimed, start_by=10.0))
    assert len(started(queues)) == 11
    clock.now = 11.0
    assert started(queues) == []
    assert len(queues.expired) == 29
    assert (queues.running, queues.waiting) == (11, 0)


def test_an_attempt_abandoned_before_its_request_lets_another_begin(queues):
    for number in range(40):
        fill(queues, f"a{number}", 1)
    first, *_ = started(queues)
    queues.done(first, succeeded=False, seconds=None)
    assert len(started(queues)) == 1


def test_while_many_wait_new_events_have_capacity_but_claims_skip_the_waiting_endpoints(queues):
    for number in range(100):
        fill(queues, f"a{number}", 1)
    running = started(queues)
    claiming, planning = queues.capacity(), queues.capacity(planning=True)
    assert claiming.left("b") == 0
    waiting = {f"a{number}" for number in range(100)} - set(running)
    assert set(claiming.in_use) == waiting
    assert planning.left(next(iter(waiting))) == 0
    assert [planning.left(f"b{number}") for number in range(51)] == [2] * 50 + [0]


def test_a_slow_endpoint_is_trusted_again_after_some_fast_responses(queues):
    for number in range(30):
        distrust(queues, f"a{number}")
    for number in range(30):
        fill(queues, f"a{number}", 1)
    assert len(started(queues)) == 25
    for number in range(25):
        queues.done(f"a{number}", succeeded=True, seconds=FAST)
        started(queues)
    for number in range(25, 30):
        queues.done(f"a{number}", succeeded=True, seconds=FAST)
    for _ in range(3):
        for number in range(30):
            run(queues, f"a{number}")
    for number in range(30):
        fill(queues, f"a{number}", 1)
    assert len(started(queues)) == 30


def test_an_unsent_delivery_changes_no_experience(queues):
    for number in range(60):
        distrust(queues, f"a{number}")
        for _ in range(5):
            run(queues, f"a{number}", succeeded=False, seconds=None)
    for number in range(60):
        fill(queues, f"a{number}", 1)
    assert len(started(queues)) == 25


def test_leases_of_endpoints_that_hang_leave_capacity_for_the_others(queues):
    trust(queues, "b")
    for number in range(500):
        fill(queues, f"a{number}", 1)
    capacity = queues.capacity()
    assert capacity.total > 0
    assert capacity.left("b") > 0
    assert capacity.left("a0") == capacity.left("another") == 0
    assert queues.is_short


def test_few_leases_are_taken_for_endpoints_that_fail_slowly_and_claims_look_beyond_the_others(queues):
    for number in range(60):
        distrust(queues, f"a{number}")
    assert list(queues.capacity().in_use) == []
    for number in range(25):
        fill(queues, f"a{number}", 1)
    capacity = queues.capacity()
    assert capacity.left("a50") == 0
    assert capacity.left("new") > 0
    assert set(capacity.in_use) == {f"a{number}" for number in range(60)}
    assert len(capacity.in_use) == 60


def test_a_new_endpoint_of_another_tenant_has_capacity_beside_a_flood_of_new_ones(queues):
    for number in range(500):
        fill(queues, f"a{number}", 1)
    assert queues.capacity().left("b") == 0
    fill(queues, "b", 1, tenant="other")
    assert queues.capacity().left("c") > 0


def test_counts_match_the_content_after_any_sequence_of_steps():
    course, queues = random.Random(7), EndpointQueues(concurrency=16, per_endpoint=4)
    running = []
    for _ in range(5_000):
        if running and course.random() < 0.5:
            endpoint_id = running.pop(course.randrange(len(running)))
            queues.done(endpoint_id, succeeded=course.random() < 0.5, seconds=course.choice([FAST, SLOW]))
        else:
            number = course.randrange(40)
            queues.add(leased(f"e{number}", tenant=f"t{number % 3}"))
        running += started(queues)
        assert queues.running == len(running) <= 16
    while running:
        queues.done(running.pop(), succeeded=True, seconds=FAST)
        running += started(queues)
    assert (queues.load, queues.capacity().total) == (0, 16 * queues.ahead)
    assert {(one.waiting, one.running) for one in queues._round_robins} == {(0, 0)}
    assert not queues._queues
    assert not queues._doubtful_running


def test_events_planned_together_have_capacity_but_no_endpoint_is_leased_far_ahead():
    assert [EndpointQueues(count, 1).ahead for count in (1, 64, 128, 512)] == [16, 16, 8, 4]


# Policies and the breaker.


def limited(endpoint_id, number, in_flight):
    one = leased(endpoint_id, number)
    one.claimed.terms = Terms(20, in_flight=in_flight)
    return one


@pytest.mark.parametrize("in_flight, most", [(3, 3), (20, 20), (500, 100), (None, 8)])
def test_an_endpoint_earns_as_much_width_as_its_policy_says(queues, in_flight, most):
    for number in range(8):
        queues.add(limited("a", number, in_flight))
        assert started(queues) == ["a"]
        queues.done("a", succeeded=True, seconds=FAST)
    for number in range(200):
        queues.add(limited("a", number, in_flight))
    assert len(started(queues)) == most
    for _ in range(most):
        queues.done("a", succeeded=True, seconds=FAST)


def test_a_width_that_the_policy_gave_is_gone_with_it(queues):
    for number in range(8):
        queues.add(limited("a", number, 50))
        started(queues)
        queues.done("a", succeeded=True, seconds=FAST)
    fill(queues, "a", 100)
    assert len(started(queues)) == 8


def test_an_endpoint_that_fails_in_a_row_has_fewer_in_flight_until_it_succeeds(queues):
    for _ in range(6):
        trust(queues, "a")
    queues.narrow("a", None)
    queues.narrow("b", 1)
    fill(queues, "a", 100)
    assert len(started(queues)) == 8
    queues.narrow("a", 1)
    for left in (7, 6, 5, 4, 3, 2, 1):
        queues.done("a", succeeded=False, seconds=FAST)
        assert started(queues) == [], left
    queues.done("a", succeeded=False, seconds=FAST)
    assert started(queues) == ["a"]
    queues.done("a", succeeded=True, seconds=FAST)
    assert started(queues) == ["a", "a"]
