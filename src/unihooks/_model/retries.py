"""Decide from stored state whether and when to retry a failed delivery."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
from tenacity import Future, RetryCallState, stop_after_attempt
from tenacity.wait import wait_base

from unihooks._model.checks import is_number

MAX_DELAY = 30 * 86_400.0
"""The longest delay in seconds, whatever a policy or a receiver asks for."""

_MINUTE = 60.0
_HOUR = 3600.0
_DEFAULT_DELAYS = (5.0, 5 * _MINUTE, 30 * _MINUTE, *(h * _HOUR for h in (2, 5, 10, 14, 20, 24)))


@attrs.define
class AttemptFailed(Exception):
    """The exception that a policy sees as the outcome of an attempt, for `wait_exception` and the like."""

    error: str | None = None
    status_code: int | None = None
    retry_after: float | None = None


@attrs.frozen
class DelayList(wait_base):
    """A wait of the listed seconds, one for each attempt, of which the last is repeated; each with jitter."""

    delays: tuple[float, ...]
    jitter: float = 0.2
    random: Callable[[], float] = attrs.field(default=random.random, eq=False, repr=False)

    def __call__(self, retry_state: RetryCallState) -> float:
        if not self.delays:
            return 0.0
        delay = self.delays[min(retry_state.attempt_number, len(self.delays)) - 1]
        return delay * (1 + self.jitter * (2 * self.random() - 1))


def _callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        example = {"wait": "wait_fixed(60)", "stop": "stop_after_attempt(5)"}[attribute.name]
        message = f"{attribute.name} must be a tenacity {attribute.name} such as {example}"
        raise ValueError(message)  # noqa: TRY004 - every bad policy is a ValueError


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The rule for how long to wait between attempts, and when to give up.

    Takes any `tenacity` wait and stop objects, also combined with `+` and `|`;
    they are evaluated on stored state, and nothing sleeps.

    >>> from tenacity import stop_after_attempt, stop_after_delay, wait_exponential
    >>> policy = RetryPolicy(
    ...     wait=wait_exponential(multiplier=10, max=3600),
    ...     stop=stop_after_attempt(8) | stop_after_delay(86_400),
    ... )
    >>> policy.next_delay(attempt=3, elapsed=30)
    40.0
    >>> policy.next_delay(attempt=8, elapsed=2000) is None
    True
    """

    wait: Callable[[RetryCallState], float] = attrs.field(default=DelayList(_DEFAULT_DELAYS), validator=_callable)
    stop: Callable[[RetryCallState], bool] = attrs.field(
        default=stop_after_attempt(len(_DEFAULT_DELAYS) + 1), validator=_callable
    )

    @classmethod
    def from_delays(
        cls, delays: Iterable[float | timedelta], *, jitter: float = 0.2, random: Callable[[], float] = random.random
    ) -> RetryPolicy:
        """Return a policy that waits these seconds after the first, second, ... attempt, then gives up.

        `jitter` is the share by which each delay varies up or down. An empty
        list means a single attempt without a retry.

        >>> RetryPolicy.from_delays([5, 300], jitter=0).next_delay(attempt=2, elapsed=5)
        300.0
        """
        wait = DelayList(_checked_all(delays), _share(jitter), random)
        return cls(wait=wait, stop=stop_after_attempt(len(wait.delays) + 1))

    def with_delays(self, delays: tuple[float, ...]) -> RetryPolicy:
        """Return a policy that waits these seconds with the jitter of this one, or of a fifth if it has none."""
        wait = attrs.evolve(self.wait, delays=delays) if isinstance(self.wait, DelayList) else DelayList(delays)
        return RetryPolicy(wait=wait, stop=stop_after_attempt(len(delays) + 1))

    @property
    def most_attempts(self) -> int | None:
        """The maximum number of attempts of a delivery; None if the policy stops by something else."""
        return self.stop.max_attempt_number if isinstance(self.stop, stop_after_attempt) else None

    def next_delay(
        self,
        *,
        attempt: int,
        elapsed: float,
        error: str | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
    ) -> float | None:
        """Return the seconds to wait after attempt number `attempt` failed; None means to give up.

        `elapsed` is the seconds since the first attempt, without the time the delivery was held; `retry_after` is what
        `parse_retry_after` returned for the response.
        """
        state = _state(attempt, elapsed, AttemptFailed(error, status_code, retry_after))
        planned = min(max(0.0, float(self.wait(state))), MAX_DELAY)
        delay = _lengthened(planned, status_code, retry_after)
        state.upcoming_sleep = delay
        return None if self.stop(state) else delay


DEFAULT_RETRIES = RetryPolicy()
"""5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, each plus or minus a fifth."""


def parse_retry_after(value: bytes | str, now: datetime) -> float | None:
    """Return a Retry-After header as seconds from `now`, or None if it is malformed.

    Fractions are rounded up, a date in the past is 0, and a date without a zone is UTC.

    >>> parse_retry_after(b"120", datetime.now(UTC))
    120.0
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> parse_retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now)
    30.0
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text.strip(" \t")
    if _SECONDS.fullmatch(text):
        return float(math.ceil(min(float(text), MAX_DELAY)))
    moment = _date(text)
    if moment is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), MAX_DELAY)


def _date(text: str) -> datetime | None:
    if not text.isascii() or len(text) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lengthened(planned: float, status_code: int | None, retry_after: float | None) -> float:
    delay = planned
    if retry_after is not None:
        delay = max(planned, min(retry_after, max(_HOUR, 2 * planned)))
    return max(delay, _MINUTE) if status_code == _TOO_MANY_REQUESTS else delay


def _state(attempt: int, elapsed: float, failure: AttemptFailed) -> RetryCallState:
    """Build the state that tenacity would have after this attempt, on a clock that starts at zero."""
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    outcome = Future(attempt)
    outcome.set_exception(failure)
    state.attempt_number = attempt
    state.start_time = 0.0
    state.outcome = outcome
    state.outcome_timestamp = state.idle_for = elapsed
    return state


def _checked_all(delays: object) -> tuple[float, ...]:
    if not isinstance(delays, Iterable) or isinstance(delays, str | bytes):
        message = f"delays must be a list of seconds, such as [10, 60], not {type(delays).__name__}"
        raise ValueError(message)  # noqa: TRY004 - every bad policy is a ValueError
    return tuple(_checked(delay) for delay in delays)


def _checked(delay: object) -> float:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if not is_number(seconds) or not 0 <= seconds <= MAX_DELAY:
        raise ValueError(f"{delay!r} is not a possible delay; use 0 to {MAX_DELAY:.0f} seconds")
    return float(seconds)


def _share(jitter: object) -> float:
    if not is_number(jitter) or not 0 <= jitter <= 1:
        raise ValueError(f"{jitter!r} is not a possible jitter; use a share from 0 to 1, such as 0.2")
    return float(jitter)


_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?", re.ASCII)
_LONGEST_DATE = 64
_TOO_MANY_REQUESTS = 429
