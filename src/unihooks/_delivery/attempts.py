"""Hold what an attempt brought until it is recorded, and decide what it means."""

from __future__ import annotations

import logging
from functools import partial

from attrs import define

from unihooks._delivery import decisions
from unihooks._message.requests import PreparedDestination, RenderedRequest
from unihooks._model.log import DeliveryState
from unihooks._model.retries import DEFAULT_RETRIES, RetryPolicy
from unihooks.abc import AttemptRow, Claimed, Result
from unihooks.transport import Exchange

_logger = logging.getLogger("unihooks.worker")


@define
class Attempted:
    """One attempt: what was sent and when (microseconds since 1970), what came back and what that means.

    `result` makes its row for the log, for many attempts in a row: that takes a third of the
    time that it takes between sending and reading, after other code has run.
    """

    claimed: Claimed
    prepared: PreparedDestination
    request: RenderedRequest | None
    answer: Exchange
    started_at: int
    decision: decisions.Decision
    warnings: tuple[str, ...]

    def result(self) -> Result:
        """Return what the store keeps."""
        prepared, answer, decision = self.prepared, self.answer, self.decision
        attempt = AttemptRow(
            self.claimed.attempt_count + 1,
            prepared.destination.url,
            self.started_at,
            _duration_us(answer),
            answer.status_code,
            answer.error,
            "[]" if self.request is None else self.request.shown(),
            decisions.shown_headers(prepared.redacted_headers(answer.headers)),
            prepared.redacted(answer.body),
            self.warnings + answer.warnings,
        )
        return Result(self.claimed, attempt, decision.state, decision.retry_in_us, decision.reason, decision.disable)


@define
class Unsent:
    """A delivery that failed before anything was sent, because its event cannot be rendered."""

    claimed: Claimed
    reason: str

    def result(self) -> Result:
        """Return what the store keeps."""
        return Result(self.claimed, None, DeliveryState.FAILED, reason=self.reason)


def decide(claimed: Claimed, answer: Exchange, *, retries: RetryPolicy, now: int) -> decisions.Decision:
    """Return what happens to the delivery, whatever the host's retry policy does."""
    if decisions.is_success(answer.status_code):
        return decisions.DELIVERED
    decide = partial(
        decisions.decide,
        decisions.Answer(status_code=answer.status_code, headers=answer.headers, error=answer.error),
        attempt=claimed.attempt_count + 1,
        elapsed_us=claimed.elapsed_us + _duration_us(answer),
        now=now,
    )
    try:
        return decide(retries=retries)
    except Exception:
        # Wait and stop objects are the host's: what they raise must not lose the result.
        _logger.exception("the retry policy raised; the default policy decides about delivery %s", claimed.id)
        return decide(retries=DEFAULT_RETRIES)


def _duration_us(answer: Exchange) -> int:
    return round(answer.duration * 1_000_000)
