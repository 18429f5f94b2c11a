from __future__ import annotations

import pytest

from unihooks._lanes import Lanes, Leased
from unihooks.abc import Claimed

FAST, SLOW = 0.01, 5.0


def leased(endpoint_id, number=0):
    claimed = Claimed("t", f"{endpoint_id}{number}", "e", "w", endpoint_id, "p", "x", b"", (), 0, 0, 1, 1)
    return Leased(claimed, 0.0)


def fill(lanes, endpoint_id, count):
    for number in range(count):
        lanes.add(leased(endpoint_id, number))


def started(lanes):
    """Start all that may start; return the endpoints in order."""
    endpoints = []
    while (one := lanes.next()) is not None:
        endpoints.append(one.claimed.endpoint_id)
    return endpoints


@pytest.fixture
def lanes():
    return Lanes(concurrency=100, per_endpoint=8)


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
    monkeypatch.setattr("unihooks._lanes._WIDTHS_KEPT", 2)
    for endpoint_id in ("a", "b", "c"):
        fill(lanes, endpoint_id, 1)
        started(lanes)
        lanes.done(endpoint_id, succeeded=True, seconds=FAST)
    fill(lanes, "a", 10)
    fill(lanes, "c", 10)
    assert sorted(started(lanes)) == ["a"] * 2 + ["c"] * 4


def test_no_more_than_concurrency_are_in_flight():
    lanes = Lanes(concurrency=3, per_endpoint=8)
    for endpoint_id in "abcde":
        fill(lanes, endpoint_id, 2)
    assert started(lanes) == ["a", "b", "c"]
    lanes.done("a", succeeded=True, seconds=FAST)
    assert len(started(lanes)) == 1


def test_a_width_is_at_most_per_endpoint():
    lanes = Lanes(concurrency=100, per_endpoint=1)
    fill(lanes, "a", 10)
    for _ in range(5):
        assert started(lanes) == ["a"]
        lanes.done("a", succeeded=True, seconds=FAST)


def test_room_leaves_out_what_is_taken():
    lanes = Lanes(concurrency=4, per_endpoint=4, ahead=4)
    assert lanes.room().total == 16
    fill(lanes, "a", 2)
    room = lanes.room()
    assert room.total == 14
    # A new endpoint gets no lease ahead of its two places.
    assert room.left("a") == 0
    assert room.left("b") == 2
    assert room.take("b")
    assert room.take("b")
    assert not room.take("b")
    assert room.total == 12


def test_a_fast_endpoint_gets_leases_ahead_of_its_width():
    lanes = Lanes(concurrency=100, per_endpoint=2, ahead=4)
    assert lanes.room().left("a") == 8
    fill(lanes, "a", 3)
    assert lanes.room().left("a") == 5


def test_a_full_worker_has_no_room():
    lanes = Lanes(concurrency=1, per_endpoint=1, ahead=2)
    fill(lanes, "a", 2)
    assert lanes.room().total == 0
    assert lanes.room().left("b") == 0


def test_what_is_taken_is_never_listed(lanes):
    taken = lanes.room().taken
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
    assert lanes.room().left("a") == 0
    lanes.open("a")
    assert started(lanes) == ["a", "a", "a"]


def test_a_copy_of_a_room_takes_from_itself_alone(lanes):
    fill(lanes, "a", 1)
    room = lanes.room()
    copy = room.copy()
    assert copy.take("a")
    assert (copy.left("a"), room.left("a")) == (0, 1)
    assert copy.taken is room.taken
