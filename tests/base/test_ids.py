from __future__ import annotations

import inspect
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from interruptions import interrupted

from unihooks._base.ids import _Sequence, derived_id, derived_span, first_id, made_at, new_id, new_ids

SECOND = 1_000_000


def test_an_id_is_a_prefix_and_26_characters_of_crockfords_base_32():
    assert re.fullmatch("evt_[0-9A-HJKMNP-TV-Z]{26}", new_id("evt_", 1_700_000_000 * SECOND))


def test_ids_sort_by_their_times():
    moments = [0, 1_000, 5 * SECOND, 1_700_000_000 * SECOND, 1_700_000_000 * SECOND + 1_000]
    ids = [new_id("x_", moment) for moment in moments]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_sort_in_the_order_of_their_making():
    ids = [new_id("x_", SECOND) for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_ids_made_together_go_on_as_if_they_were_made_one_by_one():
    ids = [new_id("x_", SECOND), *new_ids("x_", SECOND, 3000), new_id("x_", SECOND), *new_ids("x_", SECOND, 1)]
    assert ids == sorted(set(ids))
    assert len(ids) == 3003
    assert new_ids("x_", SECOND, 0) == []


def test_a_derived_id_is_the_same_each_time_and_another_for_each_key_and_parent():
    parents = new_ids("evt_", SECOND, 20)
    made = {derived_id("dlv_", parent, key) for parent in parents for key in "abcde"}
    assert made == {derived_id("dlv_", parent, key) for parent in parents for key in "abcde"}
    assert len(made) == 100
    assert all(re.fullmatch("dlv_[0-9A-HJKMNP-TV-Z]{26}", one) for one in made)


def test_derived_ids_sort_by_the_time_of_their_parents():
    parents = [new_id("evt_", moment) for moment in (0, 1_000, 5 * SECOND, 1_700_000_000 * SECOND)]
    made = [derived_id("dlv_", parent, "key") for parent in parents]
    assert made == sorted(made)
    assert made[-1][4:14] == parents[-1][4:14]


@pytest.mark.parametrize("random", [bytes(10), b"\xff" * 10], ids=["lowest", "highest"])
def test_derived_ids_of_one_millisecond_sort_as_their_parents_do(monkeypatch, random):
    monkeypatch.setattr("os.urandom", lambda _: random)
    monkeypatch.setattr("unihooks._base.ids._sequence", _Sequence())
    parents = [*new_ids("evt_", 1_000, 100), new_id("evt_", 1_000)]
    made = [derived_id("dlv_", parent, "key") for parent in parents]
    assert made == sorted(made)


def test_a_span_holds_what_is_derived_from_its_parent_and_nothing_of_those_made_together_with_it():
    parents = new_ids("evt_", SECOND, 2_000)
    spans = {parent: derived_span("dlv_", parent) for parent in parents}
    ids = sorted(derived_id("dlv_", parent, key) for parent in parents for key in "abc")
    for parent in parents[:50]:
        first, last = spans[parent]
        within = [one for one in ids if first < one < last]
        assert within == sorted(derived_id("dlv_", parent, key) for key in "abc")


def test_ids_are_unique_between_threads():
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_id("x_", SECOND), range(4000)))
    assert len(set(ids)) == 4000


def test_a_forked_child_does_not_continue_its_parents_sequence(monkeypatch):
    before = new_id("x_", SECOND)
    monkeypatch.setattr("os.getpid", lambda: -1)
    after = new_id("x_", SECOND)
    assert before[:12] == after[:12]
    assert before[12:24] != after[12:24]


def test_ids_are_unique_wherever_the_making_of_one_interrupts_that_of_others():
    made = []
    steps = interrupted(lambda: made.extend(new_ids("x_", SECOND, 3)), lambda: made.append(new_id("x_", SECOND)))
    steps += interrupted(lambda: made.append(new_id("x_", SECOND)), lambda: made.extend(new_ids("x_", SECOND, 3)))
    assert steps > 100
    assert len(set(made)) == len(made)


def test_two_processes_make_different_ids():
    # Without the package, which takes a second to import.
    script = f"{inspect.getsource(sys.modules[new_id.__module__])}\nprint(new_id('x_', 1000))"
    made = {subprocess.check_output([sys.executable, "-c", script]) for _ in range(2)}
    assert len(made) == 2


def test_a_time_before_1970_still_gives_an_id():
    assert len(new_id("x_", -5)) == 28


def test_the_time_of_an_id_is_read_back_from_it():
    at = 1_777_777_777_123_456
    event = new_id("evt_", at)
    for id_ in (event, derived_id("dlv_", event, "end_1"), first_id("evt_", at)):
        assert made_at(id_) == at // 1000 * 1000
