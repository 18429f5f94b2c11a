from __future__ import annotations

from datetime import UTC, datetime

import pytest

from unihooks import DeliveryState, RetryPolicy
from unihooks._base.times import to_us
from unihooks._delivery.decisions import GONE, decide
from unihooks.abc import Claimed
from unihooks.transport import Exchange

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def decided(status_code=None, *, error=None, headers=(), attempt=1, elapsed=0.0, delays=(60, 600), retries=None):
    before = attempt - 1, round(elapsed * SECOND)
    return decide(
        Claimed("t", "dlv_1", "evt_1", "wh_1", "ep_1", "p", "x", b"", *before, 1, 1),
        Exchange(status_code=status_code, headers=headers, error=error, duration=0.5),
        retries=retries or RetryPolicy.from_delays(list(delays), jitter=0),
        now=lambda: to_us(NOW),
    )


@pytest.mark.parametrize("status", [200, 204, 299])
def test_2xx_and_nothing_else_is_delivered(status):
    decision = decided(status)
    assert (decision.state, decision.retry_in_us, decision.reason) == (DeliveryState.DELIVERED, None, None)


@pytest.mark.parametrize("status", [101, 199, 300, 302, 400, 404, 429, 500, 599])
def test_everything_else_is_tried_again(status):
    decision = decided(status)
    assert decision.state is DeliveryState.PENDING
    assert decision.retry_in_us == 60 * SECOND
    assert decision.reason == f"the endpoint returned {status}"
    assert decision.disable is None


def test_an_error_is_tried_again_with_its_sentence():
    decision = decided(error="the connection broke off")
    assert (decision.state, decision.reason) == (DeliveryState.PENDING, "the connection broke off")


def test_410_fails_at_once_and_disables_the_endpoint():
    decision = decided(410)
    assert (decision.state, decision.reason, decision.disable) == (DeliveryState.FAILED, GONE, GONE)


def test_without_a_retry_left_it_failed():
    decision = decided(500, attempt=3)
    assert decision.state is DeliveryState.FAILED
    assert decision.reason == "no retry is left after 3 attempts; the last: the endpoint returned 500"


@pytest.mark.parametrize("name", [b"Retry-After", b"retry-after"])
@pytest.mark.parametrize("value, seconds", [(b"120", 120), (b"Thu, 01 Jan 2026 00:10:00 GMT", 600), (b"5", 60)])
def test_retry_after_is_read_from_the_store_clocks_now(name, value, seconds):
    decision = decided(503, headers=[(b"x-other", b"1"), (name, value)])
    assert decision.retry_in_us == seconds * SECOND


def test_the_first_retry_after_counts():
    assert decided(503, headers=[(b"retry-after", b"100"), (b"retry-after", b"200")]).retry_in_us == 100 * SECOND


def test_429_waits_at_least_a_minute():
    assert decided(429, delays=(1,)).retry_in_us == 60 * SECOND


@pytest.mark.parametrize("elapsed, state", [(299, DeliveryState.PENDING), (299.5, DeliveryState.FAILED)])
def test_the_time_since_the_first_attempt_counts_with_that_of_the_last(elapsed, state):
    from tenacity import stop_after_delay, wait_fixed

    retries = RetryPolicy(wait=wait_fixed(60), stop=stop_after_delay(300))
    assert decided(500, elapsed=elapsed, retries=retries).state is state


def test_a_retry_policy_that_raises_leaves_the_decision_to_the_default(caplog):
    def broken(_state):
        raise ZeroDivisionError

    assert 4 * SECOND <= decided(500, retries=RetryPolicy(wait=broken)).retry_in_us <= 6 * SECOND
    assert "the default policy decides about delivery dlv_1" in caplog.text
