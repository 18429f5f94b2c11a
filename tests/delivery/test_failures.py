from __future__ import annotations

from unihooks import CircuitBreaker
from unihooks._delivery.decisions import Decision
from unihooks._delivery.failures import FailuresInARow
from unihooks._model.log import DeliveryState
from unihooks.abc import Claimed, Result

BREAKER = CircuitBreaker(failures=3)
FAILED = Decision(DeliveryState.PENDING, retry_in_us=1)
DELIVERED = Decision(DeliveryState.DELIVERED)


def claimed(number, endpoint="one"):
    return Claimed("t", f"dlv_{number}", "evt", "whk", endpoint, "chat", "x", b"1", 0, 0, 7, 1)


def test_an_endpoint_is_paused_from_the_last_allowed_failure_until_the_store_knows_of_it():
    failures = FailuresInARow()
    assert [failures.trips(claimed(number), FAILED, BREAKER) for number in range(4)] == [False, False, True, True]
    assert failures.recorded([Result(claimed(1), None, DeliveryState.PENDING)]) == set()
    assert failures.recorded([Result(claimed(2), None, DeliveryState.PENDING)]) == {"one"}
    # From here on counting starts anew.
    assert not failures.trips(claimed(5), FAILED, BREAKER)


def test_a_success_begins_the_count_anew_and_each_endpoint_has_its_own():
    failures = FailuresInARow()
    for number in range(2):
        assert not failures.trips(claimed(number), FAILED, BREAKER)
    assert not failures.trips(claimed(2, "other"), FAILED, BREAKER)
    assert not failures.trips(claimed(3), DELIVERED, BREAKER)
    assert [failures.trips(claimed(number), FAILED, BREAKER) for number in (4, 5, 6)] == [False, False, True]


def test_the_fewer_failures_are_left_the_fewer_requests_may_be_under_way():
    failures = FailuresInARow()
    seen = []
    for number in range(4):
        seen.append(failures.left("one", BREAKER))
        failures.trips(claimed(number), FAILED, BREAKER)
    assert seen == [None, None, 1, 1]
    assert failures.left("one", None) is None


def test_without_a_breaker_nothing_is_counted():
    failures = FailuresInARow()
    assert not any(failures.trips(claimed(number), FAILED, None) for number in range(9))
    assert not failures.counts
