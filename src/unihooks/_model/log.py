"""What the log tells: events, their deliveries, and each attempt of a delivery."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from unihooks._message.header_pairs import HeaderPairs


class DeliveryState(StrEnum):
    """Say where a delivery stands; only a pending one will be attempted again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@frozen
class Event:
    """Be one call of `emit`; `payload` is the JSON value as it was given."""

    id: str
    tenant: str
    product: str
    event_type: str
    payload: Any
    created_at: datetime


@frozen(kw_only=True)
class Delivery:
    """Be one chain of attempts of one event for one endpoint.

    `held` says that a pending delivery waits for its webhook to be activated
    or its endpoint to be enabled. `reason` says why it failed or was
    cancelled. `replay_of` is the id of the delivery that it repeats.
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


@frozen(kw_only=True)
class Attempt:
    """Be one HTTP request of a delivery and what came back, with secrets redacted.

    `headers` are pairs of name and value, and give the value of a name. `response_body` is at most the first
    16 KiB, as it came over the wire. `error` is None when an answer came.
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
        """Say whether the answer was a 2xx, the only success."""
        return self.status_code is not None and 200 <= self.status_code <= 299  # noqa: PLR2004
