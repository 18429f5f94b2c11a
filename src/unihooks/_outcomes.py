"""Decide, without any I/O, what one answer means for its delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from attrs import frozen

from unihooks._models import DeliveryState
from unihooks._retries import RetryPolicy, parse_retry_after
from unihooks._times import SECOND, from_us

GONE = "the endpoint answered 410 Gone"
_HTTP_GONE = 410


@frozen(kw_only=True)
class Answer:
    """Be what came back from one attempt: a status code, or the error that stood in its way."""

    status_code: int | None
    headers: Sequence[tuple[bytes, bytes]]
    error: str | None

    @property
    def succeeded(self) -> bool:
        """Say whether the answer was a 2xx, the only success."""
        return self.status_code is not None and 200 <= self.status_code <= 299  # noqa: PLR2004


@frozen
class Decision:
    """Be what happens to a delivery after an attempt."""

    state: DeliveryState
    retry_in_us: int | None = None
    reason: str | None = None
    disable: str | None = None


DELIVERED = Decision(DeliveryState.DELIVERED)


def decide(answer: Answer, *, attempt: int, elapsed_us: int, retries: RetryPolicy, now: int) -> Decision:
    """Return the decision after the attempt with this number (from 1).

    `elapsed_us` is the time since the first attempt, without the time held.
    """
    if answer.succeeded:
        return DELIVERED
    if answer.status_code == _HTTP_GONE:
        return Decision(DeliveryState.FAILED, reason=GONE, disable=GONE)
    delay = retries.next_delay(
        attempt=attempt,
        elapsed=elapsed_us / SECOND,
        error=answer.error,
        status_code=answer.status_code,
        retry_after=_retry_after(answer, now),
    )
    if delay is None:
        attempts = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        reason = f"no retry is left after {attempts}; the last: {_why(answer)}"
        return Decision(DeliveryState.FAILED, reason=reason)
    return Decision(DeliveryState.PENDING, retry_in_us=round(delay * SECOND), reason=_why(answer))


def shown_headers(headers: Sequence[tuple[bytes, bytes]], redacted: Callable[[bytes], bytes]) -> str:
    """Return raw response headers as JSON text for the log, without what is to be redacted."""
    if not headers:
        return "[]"
    return json.dumps([[redacted(part).decode("latin-1") for part in header] for header in headers])


def _why(answer: Answer) -> str:
    return answer.error if answer.error is not None else f"the endpoint answered {answer.status_code}"


def _retry_after(answer: Answer, now: int) -> float | None:
    for name, value in answer.headers:
        if name.lower() == b"retry-after":
            return parse_retry_after(value, from_us(now))
    return None
