"""Decide, without any I/O, what one answer means for its delivery."""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted

from attrs import frozen

from unihooks._base.times import SECOND, from_us
from unihooks._model.log import DeliveryState
from unihooks._model.retries import RetryPolicy, parse_retry_after

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
        return is_success(self.status_code)


@frozen
class Decision:
    """Be what happens to a delivery after an attempt."""

    state: DeliveryState
    retry_in_us: int | None = None
    reason: str | None = None
    disable: str | None = None


DELIVERED = Decision(DeliveryState.DELIVERED)


def is_success(status_code: int | None) -> bool:
    """Say whether a status code, None if no answer came, means that the delivery is done: 2xx and nothing else."""
    return status_code is not None and 200 <= status_code <= 299  # noqa: PLR2004


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


def shown_headers(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return raw response headers as JSON text for the log."""
    # An encoder would be set up anew for each answer.
    pairs = [f"[{quoted(name.decode('latin-1'))}, {quoted(value.decode('latin-1'))}]" for name, value in headers]
    return f"[{', '.join(pairs)}]"


def _why(answer: Answer) -> str:
    return answer.error if answer.error is not None else f"the endpoint answered {answer.status_code}"


def _retry_after(answer: Answer, now: int) -> float | None:
    for name, value in answer.headers:
        if name.lower() == b"retry-after":
            return parse_retry_after(value, from_us(now))
    return None
