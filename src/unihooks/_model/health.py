"""How an endpoint is doing, the figures behind it, and what a look at its URL has found without sending anything."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen

_FEW = 20
"""If the last hour has fewer attempts than this, the last 20 count."""

_HEALTHY_PERCENT = 95
_DEGRADED_PERCENT = 50


class HealthState(StrEnum):
    """The state of an endpoint's health."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    DISABLED = "disabled"


class BreakerState(StrEnum):
    """The state of an endpoint's circuit breaker: requests may be sent, a pause lasts, or one probe may be sent."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@frozen
class Counts:
    """The number of attempts, and how many of them succeeded."""

    attempts: int = 0
    succeeded: int = 0


@frozen(kw_only=True)
class EndpointHealth:
    """The health of an endpoint.

    `state` is healthy (95 % or more of the last hour's attempts succeeded), degraded (50 % or more), failing, or
    disabled. If the hour has fewer than 20 attempts, the last 20 count; an endpoint without any is healthy. `failures`
    attempts in a row have failed, since `failing_since`: 0 and None if the last one succeeded. `last_hour` moves in
    steps of five minutes, `last_day` in steps of an hour. The state starts afresh and `failing_since` is None after a
    move to a new origin, when the endpoint is enabled again, and after a successful test of one that was not healthy.
    `last_day` keeps its counts. So does `failures` after a test, since tests do not count for the breaker.

    While the `breaker` is open, nothing is sent before `next_probe_at`. Nothing is sent before `not_before` either,
    which is set by the breaker or by the receiver's Retry-After. `next_attempt_at` is when the first pending delivery
    is due, None if none is pending or all are held.
    """

    state: HealthState = HealthState.HEALTHY
    failures: int = 0
    failing_since: datetime | None = None
    last_hour: Counts = Counts()
    last_day: Counts = Counts()
    breaker: BreakerState = BreakerState.CLOSED
    next_probe_at: datetime | None = None
    not_before: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    next_attempt_at: datetime | None = None
    endpoint_id: str = ""

    @property
    def failing(self) -> bool:
        """Return whether the state is failing."""
        return self.state is HealthState.FAILING


def judge(last_hour: Counts, last_attempts: Counts) -> HealthState:
    """Return the state of an enabled endpoint; `last_attempts` counts its last 20.

    >>> judge(Counts(100, 94), Counts(20, 20))
    <HealthState.DEGRADED: 'degraded'>
    >>> judge(Counts(1, 1), Counts(3, 1))
    <HealthState.FAILING: 'failing'>
    """
    counted = last_hour if last_hour.attempts >= _FEW else last_attempts
    percent = 100 if counted.attempts == 0 else counted.succeeded * 100 / counted.attempts
    if percent >= _HEALTHY_PERCENT:
        return HealthState.HEALTHY
    return HealthState.DEGRADED if percent >= _DEGRADED_PERCENT else HealthState.FAILING


@frozen(kw_only=True)
class EndpointCheck:
    """The result of a check that a URL leads to a server: resolve its name, connect, check its certificate.

    `connected` says whether the name led to a server that may be reached; which of these failed is not told. `error` is
    a sentence, None if all is well. `tls` and `certificate_ends_at` are None without an encrypted connection.
    """

    url: str
    connected: bool
    error: str | None = None
    tls: str | None = None
    certificate_ends_at: datetime | None = None
    duration_ms: float = 0.0

    @property
    def good(self) -> bool:
        """Return whether a delivery could be sent there."""
        return self.error is None
