"""The time between claims, and between looks."""

from __future__ import annotations

from unihooks._delivery.pacing import LONGEST, Backlog, ClaimBackoff, Looks
from unihooks.abc import ALONE, Share


def next_claim(backoff: ClaimBackoff, now: float) -> float:
    """Return when the backoff is over, in steps of a millisecond."""
    return next(step / 1000 for step in range(1000) if backoff.is_over(now + step / 1000))


def test_the_first_claim_is_now_and_so_is_one_after_something_was_found():
    backoff = ClaimBackoff()
    assert backoff.is_over(5.0)
    backoff.found()
    assert backoff.is_over(5.0)


def test_claims_that_find_nothing_become_rare_however_often_there_may_be_capacity():
    backoff, waits = ClaimBackoff(), []
    for _ in range(6):
        backoff.found_nothing(0.0)
        backoff.shorten()
        waits.append(next_claim(backoff, 0.0))
    assert waits == [0.02, 0.04, 0.08, 0.16, LONGEST, LONGEST]
    backoff.found()
    backoff.found_nothing(0.0)
    backoff.shorten()
    assert next_claim(backoff, 0.0) == 0.02


def test_without_any_room_the_next_claim_is_when_there_is_some():
    backoff = ClaimBackoff()
    backoff.had_no_capacity(5.0)
    assert next_claim(backoff, 5.0) == LONGEST
    backoff.shorten()
    assert backoff.is_over(5.0)


def test_the_backoff_can_be_ended():
    backoff = ClaimBackoff()
    backoff.found_nothing(5.0)
    backoff.end()
    assert backoff.is_over(0.0)


def test_vain_looks_become_rare_until_work_is_found_or_expected():
    looks, bounds, pauses = Looks(), (0.01, 0.08), []
    assert looks.is_due(5.0)
    looks.expect(5.0, bounds)
    for quiet in (0.0, 0.04, 0.1, 0.2, 0.32, 3_600.0):
        looks.looked(5.0 + quiet, bounds)
        pauses.append(round(looks.next - 5.0 - quiet, 3))
    assert pauses == [0.01, 0.01, 0.025, 0.05, 0.08, 0.08]
    looks.expect(5.0, bounds)
    assert not looks.is_due(5.009)
    assert looks.is_due(5.011)


def test_expected_work_does_not_postpone_an_earlier_look():
    looks = Looks()
    looks.expect(5.0, (0.01, 0.08))
    looks.looked(5.0, (0.01, 0.08))
    looks.expect(5.008, (0.01, 0.08))
    assert looks.is_due(5.011)


def test_a_worker_keeps_to_its_share_once_work_has_been_waiting_for_a_second_and_until_none_has_been():
    backlog, own = Backlog(), Share(1, 4)
    for now, is_waiting, share in (
        (0.0, True, ALONE),
        (0.9, True, ALONE),
        (0.95, False, ALONE),
        (1.2, True, ALONE),
        (2.1, True, ALONE),
        (2.3, True, own),
        (2.4, False, own),
        (3.0, True, own),
        (3.1, False, own),
        (4.2, False, ALONE),
    ):
        backlog.note(now, is_waiting=is_waiting)
        assert backlog.share(own) == share, now
