"""Decide, without any I/O, what a response means for its delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from unihooks._base.sentences import Kept
from unihooks._base.times import SECOND, from_us
from unihooks._model.log import DeliveryState
from unihooks._model.policy import NO_POLICY, DeliveryPolicy
from unihooks._model.retries import DEFAULT_RETRIES, RetryPolicy, parse_retry_after
from unihooks.abc import Claimed, Terms
from unihooks.transport import Exchange

GONE = Kept("gone", "the endpoint returned 410 Gone")
DISABLE_ASKED = Kept("disable-asked", "the endpoint asked for this with webhook-delivery: disable")
_ABORT_ASKED = Kept("abort-asked", "the endpoint asked for no further attempt; the last: {why}")
_ANSWERED = Kept("answered", "the endpoint returned {status}")
_NO_RETRY_AFTER_ONE = Kept("no-retry-after-one", "no retry is left after 1 attempt; the last: {why}")
_NO_RETRY = Kept("no-retry", "no retry is left after {attempts} attempts; the last: {why}")
_HTTP_GONE = 410
# Too many requests, and unavailable: with Retry-After they concern the whole endpoint, not a single request.
_BUSY = frozenset({429, 503})
_LONGEST_WAIT_SECONDS = 3600.0
_logger = logging.getLogger("unihooks.worker")


class Decision(NamedTuple):
    """The fate of a delivery and its endpoint after an attempt: the parts of a `Result`, in its order.

    `disable` is the reason to disable the endpoint, if any; `wait_us` is how long the receiver wants no request.
    """

    state: DeliveryState
    retry_in_us: int | None = None
    reason: str | None = None
    disable: str | None = None
    wait_us: int | None = None


_DELIVERED = Decision(DeliveryState.DELIVERED)
_GONE = Decision(DeliveryState.FAILED, reason=GONE, disable=GONE)


def decide(claimed: Claimed, response: Exchange, *, retries: RetryPolicy, now: Callable[[], int]) -> Decision:
    """Return the decision about a delivery, whatever the host's retry policy does: only 2xx is success.

    `now` returns microseconds since 1970; it is called only after a failure.
    """
    if response.status_code is not None and 200 <= response.status_code <= 299:  # noqa: PLR2004
        return _DELIVERED
    if response.status_code == _HTTP_GONE:
        return _GONE
    try:
        return _after_failure(claimed, response, retries, now())
    except Exception:
        # Wait and stop objects are the host's: an exception of theirs must not lose the result.
        _logger.exception("the retry policy raised; the default policy decides about delivery %s", claimed.id)
        return _after_failure(claimed, response, DEFAULT_RETRIES, now())


def granted(claimed: Claimed, policy: DeliveryPolicy | None, seconds: float) -> float | None:
    """Return how long a request may take: `seconds`, or what the webhook's policy says if the lease covers that.

    None if the delivery was leased under other limits than the current ones: then it has to be leased again.
    """
    policy, terms = policy or NO_POLICY, claimed.terms or Terms(seconds)
    has_limits = policy.rate is not None or policy.in_flight is not None
    if has_limits and (policy.rate, policy.in_flight) != (terms.rate, terms.in_flight):
        return None
    return seconds if policy.deadline is None else min(policy.deadline, max(terms.deadline, seconds))


def obeyed(decision: Decision, response: Exchange) -> Decision:
    """Return the decision changed as the receiver asks in the header `webhook-delivery` of its response."""
    given = (value.lower().split(b",") for name, value in response.headers if name.lower() == b"webhook-delivery")
    asked = {one.strip() for values in given for one in values}
    if b"abort-message" in asked and decision.state is DeliveryState.PENDING:
        reason = _ABORT_ASKED(why=decision.reason)
        decision = decision._replace(state=DeliveryState.FAILED, retry_in_us=None, reason=reason)
    if b"disable" in asked and decision.disable is None:
        decision = decision._replace(disable=DISABLE_ASKED)
    return decision


def _after_failure(claimed: Claimed, response: Exchange, retries: RetryPolicy, now: int) -> Decision:
    attempt = claimed.attempt_count + 1
    waits = (value for name, value in response.headers if name.lower() == b"retry-after")
    retry_after = next((parse_retry_after(value, from_us(now)) for value in waits), None)
    wait = 0.0 if retry_after is None or response.status_code not in _BUSY else min(retry_after, _LONGEST_WAIT_SECONDS)
    delay = retries.next_delay(
        attempt=attempt,
        elapsed=claimed.elapsed_us / SECOND + response.duration,
        error=response.error,
        status_code=response.status_code,
        retry_after=retry_after,
    )
    why = response.error if response.error is not None else _ANSWERED(status=response.status_code)
    wait_us = round(wait * SECOND) or None
    if delay is None:
        reason = _NO_RETRY_AFTER_ONE(why=why) if attempt == 1 else _NO_RETRY(attempts=attempt, why=why)
        return Decision(DeliveryState.FAILED, reason=reason, wait_us=wait_us)
    return Decision(DeliveryState.PENDING, retry_in_us=round(delay * SECOND), reason=why, wait_us=wait_us)
