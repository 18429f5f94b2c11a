"""Pauses between looks for due deliveries."""

from __future__ import annotations

from unihooks._delivery.claim_backoff import LONGEST, ClaimBackoff


def next_look(pause: ClaimBackoff, now: float) -> float:
    """Return when the pause is over, in steps of a millisecond."""
    return next(step / 1000 for step in range(1000) if pause.is_over(now + step / 1000))


def test_first_look_is_now_and_so_is_one_after_something_was_found():
    pause = ClaimBackoff()
    assert pause.is_over(5.0)
    pause.found()
    assert pause.is_over(5.0)


def test_looks_in_vain_become_rare_however_often_there_may_be_room():
    pause, waits = ClaimBackoff(), []
    for _ in range(6):
        pause.found_nothing(0.0)
        pause.shorten()
        waits.append(next_look(pause, 0.0))
    assert waits == [0.02, 0.04, 0.08, 0.16, LONGEST, LONGEST]
    pause.found()
    pause.found_nothing(0.0)
    pause.shorten()
    assert next_look(pause, 0.0) == 0.02


def test_without_any_room_the_next_look_is_when_there_is_some():
    pause = ClaimBackoff()
    pause.had_no_room(5.0)
    assert next_look(pause, 5.0) == LONGEST
    pause.shorten()
    assert pause.is_over(5.0)


def test_a_pause_can_be_ended():
    pause = ClaimBackoff()
    pause.found_nothing(5.0)
    pause.end()
    assert pause.is_over(0.0)
