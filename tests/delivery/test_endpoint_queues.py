from __future__ import annotations

import random

import pytest

from unihooks._delivery.endpoint_queues import EndpointQueues, Leased
from unihooks.abc import Claimed

FAST, SLOW = 0.01, 5.0


def leased(endpoint_id, number=0, tenant="t"):
    claimed = Claimed(tenant, f"{endpoint_id}{number}", "e", "w", endpoint_id, "p", "x", b"", (), 0, 0, 1, 1)
    return Leased(claimed, 0.0)


def fill(lanes, endpoint_id, count, tenant="t"):
    for number in range(count):
        lanes.add(leased(endpoint_id, number, tenant))


def started(lanes):
    """Start all that may start; return the endpoints in order."""
    endpoints = []
    while (one := lanes.next()) is not None:
        endpoints.append(one.claimed.endpoint_id)
    return endpoints


def run(lanes, endpoint_id, *, succeeded=True, seconds=FAST, tenant="t"):
    """Make one attempt alone."""
    lanes.add(leased(endpoint_id, tenant=tenant))
    assert started(lanes) == [endpoint_id]
    lanes.done(endpoint_id, succeeded=succeeded, seconds=seconds)


def trust(lanes, endpoint_id, tenant="t"):
    run(lanes, endpoint_id, tenant=tenant)


def distrust(lanes, endpoint_id, tenant="t"):
    run(lanes, endpoint_id, tenant=tenant, succeeded=False, seconds=SLOW)


@pytest.fixture
def lanes():
    return EndpointQueues(concurrency=100, per_endpoint=8, ahead=5)


def test_endpoints_are_served_in_turn(lanes):
    fill(lanes, "a", 3)
    fill(lanes, "b", 2)
    assert started(lanes) == ["a", "b", "a", "b"]


def test_a_new_endpoint_starts_with_two_in_flight(lanes):
    fill(lanes, "a", 10)
    assert started(lanes) == ["a", "a"]
    assert (lanes.running, lanes.waiting, lanes.load) == (2, 8, 10)


def test_an_endpoint_that_answers_fast_earns_its_width(lanes):
    fill(lanes, "a", 50)
    widths = []
    running = len(started(lanes))
    for _ in range(4):
        lanes.done("a", succeeded=True, seconds=FAST)
        running += len(started(lanes)) - 1
        widths.append(running)
    assert widths == [4, 8, 8, 8]


def test_an_endpoint_that_fails_slowly_loses_its_width_down_to_one(lanes):
    fill(lanes, "a", 50)
    for _ in range(3):
        started(lanes)
        lanes.done("a", succeeded=True, seconds=FAST)
    started(lanes)
    while lanes.running > 1:
        lanes.done("a", succeeded=False, seconds=SLOW)
    lanes.done("a", succeeded=False, seconds=SLOW)
    assert started(lanes) == ["a"]


def test_a_fast_failure_keeps_the_width_and_a_slow_success_caps_it(lanes):
    fill(lanes, "a", 50)
    started(lanes)
    lanes.done("a", succeeded=False, seconds=FAST)
    assert len(started(lanes)) == 1
    for _ in range(5):
        lanes.done("a", succeeded=True, seconds=FAST)
        started(lanes)
    assert lanes.running == 8
    lanes.done("a", succeeded=True, seconds=SLOW)
    assert started(lanes) == []
    for _ in range(4):
        lanes.done("a", succeeded=True, seconds=SLOW)
    assert len(started(lanes)) == 1
    assert lanes.running == 4


def test_a_width_is_remembered_while_nothing_is_due(lanes):
    fill(lanes, "a", 1)
    for _ in range(3):
        started(lanes)
        lanes.done("a", succeeded=True, seconds=FAST)
        fill(lanes, "a", 1)
    started(lanes)
    lanes.done("a", succeeded=True, seconds=FAST)
    fill(lanes, "a", 20)
    assert len(started(lanes)) == 8


def test_only_so_many_widths_are_remembered(lanes, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.endpoint_queues._KNOWN", 2)
    for endpoint_id in ("a", "b", "c"):
        fill(lanes, endpoint_id, 1)
        started(lanes)
        lanes.done(endpoint_id, succeeded=True, seconds=FAST)
    fill(lanes, "a", 10)
    fill(lanes, "c", 10)
    assert sorted(started(lanes)) == ["a"] * 2 + ["c"] * 4


def test_no_more_than_concurrency_are_in_flight():
    lanes = EndpointQueues(concurrency=3, per_endpoint=8)
    for endpoint_id in "abcde":
        fill(lanes, endpoint_id, 2)
    assert started(lanes) == ["a", "b", "c"]
    lanes.done("a", succeeded=True, seconds=FAST)
    assert len(started(lanes)) == 1


def test_a_width_is_at_most_per_endpoint():
    lanes = EndpointQueues(concurrency=100, per_endpoint=1)
    fill(lanes, "a", 10)
    for _ in range(5):
        assert started(lanes) == ["a"]
        lanes.done("a", succeeded=True, seconds=FAST)


def test_room_leaves_out_what_is_taken():
    lanes = EndpointQueues(concurrency=4, per_endpoint=4, ahead=4)
    assert lanes.capacity().total == 16
    fill(lanes, "a", 2)
    capacity = lanes.capacity()
    assert capacity.total == 14
    # A new endpoint gets no lease ahead of its two places.
    assert capacity.left("a") == 0
    assert capacity.left("b") == 2
    assert capacity.take("b")
    assert capacity.take("b")
    assert not capacity.take("b")
    assert capacity.total == 12


def test_a_fast_endpoint_gets_leases_ahead_of_its_width():
    lanes = EndpointQueues(concurrency=100, per_endpoint=2, ahead=4)
    assert lanes.capacity().left("a") == 8
    fill(lanes, "a", 3)
    assert lanes.capacity().left("a") == 5


def test_a_full_worker_has_no_room():
    lanes = EndpointQueues(concurrency=1, per_endpoint=1, ahead=2)
    trust(lanes, "a")
    fill(lanes, "a", 2)
    assert lanes.capacity().total == 0
    assert lanes.capacity().left("b") == 0


def test_what_is_taken_is_never_listed(lanes):
    taken = lanes.capacity().in_use
    assert (list(taken), len(taken)) == ([], 0)


def test_what_has_not_started_can_be_taken_out(lanes):
    fill(lanes, "a", 5)
    fill(lanes, "b", 1)
    lanes.next()
    left = lanes.take_waiting()
    assert len(left) == 5
    assert (lanes.waiting, lanes.running) == (0, 1)
    assert lanes.next() is None
    lanes.done("a", succeeded=True, seconds=FAST)
    assert lanes.load == 0


def test_a_closed_endpoint_starts_nothing_and_has_no_room_until_it_is_opened(lanes):
    fill(lanes, "a", 5)
    fill(lanes, "b", 1)
    assert started(lanes) == ["a", "b", "a"]
    lanes.close("a")
    lanes.done("a", succeeded=True, seconds=FAST)
    fill(lanes, "a", 1)
    assert started(lanes) == []
    assert lanes.capacity().left("a") == 0
    lanes.open("a")
    assert started(lanes) == ["a", "a", "a"]


def test_a_copy_of_a_room_takes_from_itself_alone(lanes):
    fill(lanes, "a", 1)
    capacity = lanes.capacity()
    copy = capacity.copy()
    assert copy.take("a")
    assert (copy.left("a"), capacity.left("a")) == (0, 1)
    assert copy.in_use is capacity.in_use


def test_tenants_take_turns_however_many_endpoints_one_has(lanes):
    for number in range(5):
        fill(lanes, f"a{number}", 1, tenant="wide")
    fill(lanes, "b", 2, tenant="narrow")
    assert started(lanes)[:4] == ["a0", "b", "a1", "b"]


def test_endpoints_that_fail_slowly_hold_a_quarter_of_the_places_together(lanes):
    for number in range(60):
        distrust(lanes, f"a{number}")
    for number in range(60):
        fill(lanes, f"a{number}", 1)
    assert len(started(lanes)) == 25
    fill(lanes, "b", 1)
    assert started(lanes) == ["b"]
    lanes.done("a0", succeeded=False, seconds=SLOW)
    assert len(started(lanes)) == 1


def test_new_endpoints_leave_places_to_those_that_have_answered_fast(lanes):
    trust(lanes, "b")
    for number in range(200):
        fill(lanes, f"a{number}", 1)
    assert len(started(lanes)) == 82
    fill(lanes, "b", 4)
    assert started(lanes) == ["b"] * 4
    fill(lanes, "c", 1, tenant="another")
    assert started(lanes) == ["c"]


def test_new_endpoints_of_one_tenant_leave_places_to_those_of_another(lanes):
    trust(lanes, "b", tenant="other")
    for number in range(200):
        fill(lanes, f"a{number}", 1, tenant="wide")
    assert 50 < len(started(lanes)) < 80
    fill(lanes, "c", 1, tenant="other")
    assert started(lanes) == ["c"]


def test_a_slow_endpoint_is_trusted_again_after_some_fast_answers(lanes):
    for number in range(30):
        distrust(lanes, f"a{number}")
    for number in range(30):
        fill(lanes, f"a{number}", 1)
    assert len(started(lanes)) == 25
    for number in range(25):
        lanes.done(f"a{number}", succeeded=True, seconds=FAST)
        started(lanes)
    for number in range(25, 30):
        lanes.done(f"a{number}", succeeded=True, seconds=FAST)
    for _ in range(3):
        for number in range(30):
            run(lanes, f"a{number}")
    for number in range(30):
        fill(lanes, f"a{number}", 1)
    assert len(started(lanes)) == 30


def test_what_was_not_sent_teaches_nothing(lanes):
    for number in range(60):
        distrust(lanes, f"a{number}")
        for _ in range(5):
            run(lanes, f"a{number}", succeeded=False, seconds=None)
    for number in range(60):
        fill(lanes, f"a{number}", 1)
    assert len(started(lanes)) == 25


def test_leases_of_endpoints_that_hang_leave_room_for_the_others(lanes):
    trust(lanes, "b")
    for number in range(500):
        fill(lanes, f"a{number}", 1)
    capacity = lanes.capacity()
    assert capacity.total > 0
    assert capacity.left("b") > 0
    assert capacity.left("a0") == capacity.left("another") == 0
    assert lanes.is_short


def test_few_leases_are_taken_for_endpoints_that_fail_slowly_and_claims_look_beyond_the_others(lanes):
    for number in range(60):
        distrust(lanes, f"a{number}")
    assert list(lanes.capacity().in_use) == []
    for number in range(25):
        fill(lanes, f"a{number}", 1)
    capacity = lanes.capacity()
    assert capacity.left("a50") == 0
    assert capacity.left("new") > 0
    assert set(capacity.in_use) == {f"a{number}" for number in range(60)}
    assert len(capacity.in_use) == 60


def test_a_new_endpoint_of_another_tenant_has_room_beside_a_flood_of_new_ones(lanes):
    for number in range(500):
        fill(lanes, f"a{number}", 1)
    assert lanes.capacity().left("b") == 0
    fill(lanes, "b", 1, tenant="other")
    assert lanes.capacity().left("c") > 0


def test_counts_are_those_of_what_is_there_after_any_course_of_things():
    course, lanes = random.Random(7), EndpointQueues(concurrency=16, per_endpoint=4)
    running = []
    for _ in range(5_000):
        if running and course.random() < 0.5:
            endpoint_id = running.pop(course.randrange(len(running)))
            lanes.done(endpoint_id, succeeded=course.random() < 0.5, seconds=course.choice([FAST, SLOW]))
        else:
            number = course.randrange(40)
            lanes.add(leased(f"e{number}", tenant=f"t{number % 3}"))
        running += started(lanes)
        assert lanes.running == len(running) <= 16
    while running:
        lanes.done(running.pop(), succeeded=True, seconds=FAST)
        running += started(lanes)
    assert (lanes.load, lanes.capacity().total, lanes._doubtful) == (0, 16 * lanes.ahead, type(lanes._doubtful)())
    assert not lanes._lanes


def test_what_is_planned_together_has_room_but_no_endpoint_is_leased_far_ahead():
    assert [EndpointQueues(count, 1).ahead for count in (1, 64, 128, 512)] == [16, 16, 8, 4]
