"""Make the results of attempts and store them in batches, within 50 ms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii as quoted

from attrs import define, field

from unihooks._delivery.decisions import Decision
from unihooks._delivery.pacing import pause_after_store_error
from unihooks._delivery.shared_reads import OffLoad
from unihooks._message.requests import PreparedDestination, RenderedRequest
from unihooks._model.log import DeliveryState
from unihooks._model.policy import CircuitBreaker
from unihooks.abc import AttemptRow, Claimed, Recorded, Result, Store
from unihooks.exceptions import StoreError
from unihooks.transport import MAX_HEADER_BYTES, Exchange

# A slow store gets larger batches: the next batch gathers for as long as the last one took, within these bounds.
_GATHER_SECONDS = 0.02
_LONGEST_GATHER_SECONDS = 0.04
_BATCH = 256
_TRIES_TOGETHER = 4
_logger = logging.getLogger("unihooks.worker")


@define
class Attempted:
    """An attempt: what was sent and when (microseconds since 1970), what came back and what that means.

    `result` makes its row for the log. For many attempts in a row, that takes a third of the time that it would take
    between sending and reading, after other code has run.
    """

    claimed: Claimed
    prepared: PreparedDestination
    request: RenderedRequest | None
    response: Exchange
    started_at: int
    decision: Decision
    warnings: tuple[str, ...]

    def result(self) -> Result:
        """Return the result as the store keeps it."""
        prepared, response = self.prepared, self.response
        attempt = AttemptRow(
            self.claimed.attempt_count + 1,
            prepared.destination.url,
            self.started_at,
            round(response.duration * 1_000_000),
            response.status_code,
            response.error,
            "[]" if self.request is None else self.request.shown(),
            *redacted_response(prepared, response),
            self.warnings + response.warnings,
        )
        return Result(self.claimed, attempt, *self.decision)


@define
class Unsent:
    """A delivery for which nothing was sent: its event cannot be rendered, or the way out failed and it waits.

    This is not an attempt, so the endpoint's health and the delivery's retries stay as they are.
    """

    claimed: Claimed
    reason: str
    retry_in_us: int | None = None

    def result(self) -> Result:
        """Return the result as the store keeps it."""
        state = DeliveryState.FAILED if self.retry_in_us is None else DeliveryState.PENDING
        return Result(self.claimed, None, state, self.retry_in_us, self.reason)


def redacted_response(prepared: PreparedDestination, response: Exchange) -> tuple[str, bytes]:
    """Return the headers of a response as JSON text, and its body, both without secrets."""
    if not (response.headers or response.body):
        # An endpoint that never responds needs no redactor.
        return "[]", b""
    headers = prepared.hidden.redacted_headers(response.headers, MAX_HEADER_BYTES)
    # A warning says that the body may have been cut before its end.
    return shown_headers(headers), prepared.hidden.redacted(response.body, cut=bool(response.warnings))


def shown_headers(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return raw response headers as JSON text for the log."""
    # Faster than `json.dumps`, which builds an encoder for each call. The escaping is the encoder's own.
    pairs = [f"[{quoted(name.decode('latin-1'))}, {quoted(value.decode('latin-1'))}]" for name, value in headers]
    return f"[{', '.join(pairs)}]"


def gathering(recording_seconds: float) -> float:
    """Return how long to gather results after a batch that took this long to record."""
    return min(max(recording_seconds, _GATHER_SECONDS), _LONGEST_GATHER_SECONDS)


@define(eq=False)
class ResultBatcher:
    """The results that wait to be recorded; `on_recorded(results, recorded)` is called after each batch.

    While the store cannot be written, recording is tried again and nothing is dropped: a
    late result counts until another worker has claimed its delivery.
    """

    store: Store
    offload: OffLoad
    on_recorded: Callable[[list[Result], Recorded], None]
    breaker: CircuitBreaker | None = None
    unrecorded: int = 0
    _attempts: list[Attempted | Unsent] = field(factory=list)
    _results: list[Result] = field(factory=list)
    _some: asyncio.Event = field(factory=asyncio.Event)
    _urgent: asyncio.Event = field(factory=asyncio.Event)
    _quiet_at: float = 0.0
    _recording_seconds: float = 0.0

    def add(self, attempted: Attempted | Unsent) -> None:
        """Add an attempt that has ended, or could not begin."""
        self._attempts.append(attempted)
        self.unrecorded += 1
        self._some.set()
        if len(self._attempts) >= _BATCH:
            self._urgent.set()

    def hurry(self) -> None:
        """Record at once, since no more results will come soon."""
        self._urgent.set()

    async def finish(self) -> None:
        """Wait until all is recorded."""
        while self.unrecorded:
            self.hurry()
            await asyncio.sleep(0.002)

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            await self._some.wait()
            await self._gather()
            batch = self._take()
            self._some.clear()
            began = time.monotonic()
            try:
                await self._record(batch)
            except asyncio.CancelledError:
                # Results that have been recorded are refused the second time.
                self._results += batch
                self._some.set()
                raise
            self._recording_seconds = time.monotonic() - began
            self._quiet_at = began + self._recording_seconds + _GATHER_SECONDS

    async def _gather(self) -> None:
        """Gather results, unless none came recently: a single one is recorded at once."""
        if time.monotonic() < self._quiet_at and not self._lets_others_go:
            timer = asyncio.get_running_loop().call_later(gathering(self._recording_seconds), self._urgent.set)
            await self._urgent.wait()
            timer.cancel()
        self._urgent.clear()

    @property
    def _lets_others_go(self) -> bool:
        """Whether the first result belongs to an ordered webhook: the next delivery of its subject waits for it."""
        return bool(self._attempts) and self._attempts[0].claimed.sequence is not None

    def _take(self) -> list[Result]:
        batch, self._results = self._results, []
        attempts, self._attempts = self._attempts, []
        for attempted in attempts:
            try:
                batch.append(attempted.result())
            except Exception:
                # The lease will end, and the delivery will be attempted again.
                _logger.exception("the result of delivery %s cannot be made", attempted.claimed.id)
                self.unrecorded -= 1
        return batch

    async def _record(self, batch: list[Result]) -> None:
        for _ in range(_TRIES_TOGETHER):
            if await self._try(batch):
                return
            await pause_after_store_error()
        # A result that cannot be stored must not hold up the others for ever, so they are recorded one by one.
        for result in batch:
            if not await self._try([result]):
                self._results.append(result)
                self._some.set()

    async def _try(self, batch: list[Result]) -> bool:
        try:
            recorded = await self.offload(self.store.record, batch, self.breaker)
        except StoreError as error:
            _logger.error("results cannot be recorded, trying again: %s", error)  # noqa: TRY400
            return False
        except Exception:
            _logger.exception("results cannot be recorded, trying again")
            return False
        self.unrecorded -= len(batch)
        try:
            self.on_recorded(batch, recorded)
        except Exception:
            # An error of the callback must not end the recording.
            _logger.exception("the results are recorded, but what follows from them failed")
        return True
