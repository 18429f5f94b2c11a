"""What the log shows: events, their deliveries, and the attempts of a delivery."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from unihooks._message.header_pairs import HeaderPairs

NO_RESPONSE = 0
"""The code by which deliveries are found whose last attempt had no response."""


class DeliveryState(StrEnum):
    """The state of a delivery; only a pending one is attempted again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@frozen
class Emission:
    """An event for `emit_many`, with the arguments that `emit` takes for a single one."""

    product: str
    event_type: str
    payload: Any
    idempotency_key: str | None = None
    subject: str | None = None


@frozen
class Event:
    """One call of `emit`: `payload` is the JSON value that it was given, `subject` what the event is about, or None."""

    id: str
    tenant: str
    product: str
    event_type: str
    payload: Any
    created_at: datetime
    subject: str | None = None


@frozen(kw_only=True)
class Delivery:
    """One chain of attempts to deliver one event to one endpoint.

    `held` means that a pending delivery waits until its webhook is activated or its endpoint is enabled. `waiting` is a
    sentence that says why a pending one waits, or None if it does not. `reason` says why it failed or was cancelled, or
    why the last attempt of a pending one failed. `replay_of` is the id of the delivery that it repeats. `subject` is
    that of its event. `status_code` and `duration_ms` are those of its last attempt, the code None without a response.
    `attempts_left` is how many attempts a pending one has left, None if its retry policy has no maximum number.
    """

    id: str
    tenant: str
    event_id: str
    webhook_id: str
    endpoint_id: str
    product: str
    event_type: str
    url: str
    state: DeliveryState
    held: bool
    attempt_count: int
    created_at: datetime
    next_attempt_at: datetime | None
    reason: str | None
    replay_of: str | None
    subject: str | None = None
    status_code: int | None = None
    duration_ms: float | None = None
    attempts_left: int | None = None
    waiting: str | None = None


@frozen(kw_only=True)
class Attempt:
    """One HTTP request of a delivery and what came back, with secrets redacted.

    Headers are pairs of name and value, and can be looked up by name. `response_body` is the first 16 KiB at most, as
    it came over the wire. `error` is None if a response came.
    """

    id: str
    delivery_id: str
    number: int
    url: str
    started_at: datetime
    duration_ms: float
    status_code: int | None
    error: str | None
    request_headers: HeaderPairs = field(converter=HeaderPairs)
    response_headers: HeaderPairs = field(converter=HeaderPairs)
    response_body: bytes
    warnings: tuple[str, ...]

    @property
    def succeeded(self) -> bool:
        """Return whether the status was 2xx, the only success."""
        return self.status_code is not None and 200 <= self.status_code <= 299  # noqa: PLR2004
