"""When a failed delivery is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    stop_never,
    wait_chain,
    wait_exception,
    wait_exponential,
    wait_fixed,
    wait_none,
    wait_random,
)

from unihooks._model.retries import DEFAULT_RETRIES, MAX_DELAY, RetryPolicy, parse_retry_after

HOUR = 3600
PLAN = [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def delays(policy, attempts):
    return [policy.next_delay(attempt=number, elapsed=0) for number in range(1, attempts + 1)]


def test_default_plan_has_ten_attempts_over_days():
    policy = RetryPolicy.from_delays(PLAN, jitter=0)
    assert delays(policy, 10) == [*PLAN, None]


@pytest.mark.parametrize("attempt, planned", list(enumerate(PLAN, 1)))
def test_default_delay_varies_by_a_fifth(attempt, planned):
    delay = DEFAULT_RETRIES.next_delay(attempt=attempt, elapsed=0)
    assert 0.8 * planned <= delay <= 1.2 * planned


def test_default_gives_up_after_the_tenth_attempt():
    assert DEFAULT_RETRIES.next_delay(attempt=10, elapsed=0) is None


@pytest.mark.parametrize("draw, factor", [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_jitter_comes_from_the_given_random(draw, factor):
    policy = RetryPolicy.from_delays([100], random=lambda: draw)
    assert policy.next_delay(attempt=1, elapsed=0) == pytest.approx(100 * factor)


def test_no_delays_means_one_attempt():
    assert delays(RetryPolicy.from_delays([]), 1) == [None]


def test_delays_may_be_timedeltas():
    assert delays(RetryPolicy.from_delays([timedelta(minutes=1)], jitter=0), 1) == [60]


@pytest.mark.parametrize(
    "wait, expected",
    [
        (wait_fixed(7), [7, 7, 7]),
        (wait_fixed(1) + wait_fixed(2), [3, 3, 3]),
        (wait_exponential(multiplier=10), [10, 20, 40]),
        (wait_exponential(multiplier=10, max=15), [10, 15, 15]),
        (wait_chain(wait_fixed(1), wait_fixed(9)), [1, 9, 9]),
        (wait_random(2, 2), [2, 2, 2]),
        (wait_none(), [0, 0, 0]),
        (lambda state: state.attempt_number, [1, 2, 3]),
        (lambda _: -5, [0, 0, 0]),
        (lambda _: float("nan"), [0, 0, 0]),
        (lambda _: float("inf"), [MAX_DELAY] * 3),
    ],
)
def test_any_wait_is_evaluated_by_attempt_number(wait, expected):
    assert delays(RetryPolicy(wait=wait, stop=stop_never), 3) == expected


@pytest.mark.parametrize(
    "stop, attempt, elapsed, goes_on",
    [
        (stop_after_attempt(3), 2, 0, True),
        (stop_after_attempt(3), 3, 0, False),
        (stop_after_delay(60), 9, 59, True),
        (stop_after_delay(60), 1, 60, False),
        (stop_before_delay(60), 1, 49, True),
        (stop_before_delay(60), 1, 51, False),
        (stop_after_attempt(3) | stop_after_delay(60), 1, 60, False),
        (stop_after_attempt(3) & stop_after_delay(60), 1, 60, True),
        (lambda state: state.idle_for > 5, 1, 6, False),
        (stop_never, 10_000, 1e9, True),
    ],
)
def test_any_stop_is_evaluated_on_stored_state(stop, attempt, elapsed, goes_on):
    policy = RetryPolicy(wait=wait_fixed(10), stop=stop)
    delay = policy.next_delay(attempt=attempt, elapsed=elapsed)
    assert delay == (10 if goes_on else None)


def test_wait_sees_how_the_attempt_failed():
    policy = RetryPolicy(wait=wait_exception(lambda failure: 1 if failure.status_code == 503 else 9))
    assert policy.next_delay(attempt=1, elapsed=0, status_code=503) == 1
    assert policy.next_delay(attempt=1, elapsed=0, error="connection refused") == 9


def test_outcome_counts_as_failed():
    seen = []
    policy = RetryPolicy(wait=lambda state: seen.append(state.outcome.failed) or 0)
    policy.next_delay(attempt=1, elapsed=0, error="timeout")
    assert seen == [True]


@pytest.mark.parametrize(
    "planned, retry_after, expected",
    [
        (5, None, 5),
        (5, 0, 5),
        (5, 4, 5),
        (5, 120, 120),
        (5, HOUR, HOUR),
        (5, 10 * HOUR, HOUR),
        (2 * HOUR, HOUR, 2 * HOUR),
        (2 * HOUR, 3 * HOUR, 3 * HOUR),
        (2 * HOUR, 9 * HOUR, 4 * HOUR),
    ],
)
def test_retry_after_lengthens_up_to_an_hour_or_twice_the_plan(planned, retry_after, expected):
    policy = RetryPolicy.from_delays([planned], jitter=0)
    delay = policy.next_delay(attempt=1, elapsed=0, status_code=503, retry_after=retry_after)
    assert delay == expected


def test_retry_after_does_not_prolong_the_number_of_attempts():
    policy = RetryPolicy.from_delays([5])
    assert policy.next_delay(attempt=2, elapsed=5, retry_after=60) is None


@pytest.mark.parametrize("planned, expected", [(5, 60), (300, 300)])
def test_too_many_requests_waits_at_least_a_minute(planned, expected):
    policy = RetryPolicy.from_delays([planned], jitter=0)
    assert policy.next_delay(attempt=1, elapsed=0, status_code=429) == expected


@pytest.mark.parametrize("delay", [-1, True, float("nan"), float("inf"), MAX_DELAY + 1])
def test_impossible_delay_is_refused(delay):
    with pytest.raises(ValueError, match="use 0 to"):
        RetryPolicy.from_delays([5, delay])


@pytest.mark.parametrize("jitter", [-0.1, 1.1, True, float("nan")])
def test_impossible_jitter_is_refused(jitter):
    with pytest.raises(ValueError, match="share from 0 to 1"):
        RetryPolicy.from_delays([5], jitter=jitter)


@pytest.mark.parametrize("option", ["wait", "stop"])
def test_a_value_that_is_no_policy_is_refused_with_an_example(option):
    with pytest.raises(ValueError, match=rf"{option} must be a tenacity {option} such as"):
        RetryPolicy(**{option: 60})


@pytest.mark.parametrize(
    "value, seconds",
    [
        (b"120", 120),
        ("120", 120),
        (b" 120\t", 120),
        (b"0", 0),
        (b"1.2", 2),
        (b"2.", 2),
        (b"007", 7),
        pytest.param(b"9" * 5000, MAX_DELAY, id="huge"),
        (b"Thu, 01 Jan 2026 12:00:30 GMT", 30),
        (b"Thu Jan  1 12:00:30 2026", 30),
        (b"Thursday, 01-Jan-26 12:00:30 GMT", 30),
        (b"Thu, 01 Jan 2026 13:00:30 +0100", 30),
        (b"Thu, 01 Jan 2026 11:59:59 GMT", 0),
        (b"Thu, 01 Jan 9999 00:00:00 GMT", MAX_DELAY),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"-1",
        b"+5",
        b"1e3",
        b"0x10",
        b"1,5",
        b"5 s",
        b".5",
        b"soon",
        b"nan",
        b"inf",
        "\u0665",
        "\u0661\u0662\u0660",
        b"\xb2",
        b"5\n5",
        b"Thu, 01 Jan 2026 25:00:00 GMT",
        b"Thu, 01 Jan 99999999999 00:00:00 GMT",
        b"Thu, 01 Jan 2026 00:00:00 +999999",
        b"2026-01-01T12:00:30Z",
        pytest.param(b"x" * 100_000, id="long"),
    ],
)
def test_garbage_in_retry_after_is_ignored(value):
    assert parse_retry_after(value, NOW) is None


@given(st.binary() | st.text() | st.text("0123456789.:,+- GMTJanuh"))
def test_no_retry_after_raises_or_leaves_the_bounds(value):
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_DELAY
