"""The rows of the memory store: events, deliveries, and the lanes through which deliveries are claimed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from operator import attrgetter

from attrs import define, evolve, field

from unihooks._base.times import SECOND, from_us, optional_from_us
from unihooks._contract.idempotency import ANSWER_AWAITED_US, ANSWER_KEPT_US, IdempotencyRecord
from unihooks._contract.planning import NewEvent
from unihooks._message.payload import decode
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks.abc import ERASED, FAILING_TOO_LONG, HELD_TOO_LONG, AttemptRow, Claimed, Ended, Result
from unihooks.stores.sql.rows import attempt_id

_FIVE_DAYS = 5 * 86_400 * SECOND


@define(eq=False)
class EventRow:
    """Be an event with its deliveries, in the order in which they were made."""

    new: NewEvent
    planned: bool = False
    deliveries: list[DeliveryRow] = field(factory=list)

    @property
    def pending(self) -> bool:
        """Say whether any delivery is still to be made."""
        return any(row.pending for row in self.deliveries)

    @property
    def erased(self) -> bool:
        """Say whether what it said is gone: no JSON text is empty."""
        return not self.new.body

    def newest(self, endpoint_id: str) -> DeliveryRow | None:
        """Return the delivery that was made last for the endpoint."""
        return next((row for row in reversed(self.deliveries) if row.endpoint_id == endpoint_id), None)

    def to_event(self, *, payload: bool) -> Event:
        """Return the event, with or without its payload."""
        new = self.new
        value = decode(new.body) if payload and new.body else None
        return Event(new.id, new.tenant, new.product, new.event_type, value, from_us(new.created_at))


@define(eq=False)
class DeliveryRow:
    """Be a delivery; `body` is None if it was never made, `token` is that of the last lease.

    `held_before` is how long the lane had been closed, in all, when the first
    attempt was recorded.
    """

    id: str
    event: NewEvent
    webhook_id: str
    endpoint_id: str
    url: str
    body: bytes | None
    created_at: int
    warnings: tuple[str, ...] = ()
    replay_of: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    reason: str | None = None
    due_at: int | None = None
    token: int | None = None
    attempts: list[AttemptRow] = field(factory=list)
    held_before: int = 0

    @property
    def pending(self) -> bool:
        """Say whether it will be attempted again."""
        return self.state is DeliveryState.PENDING

    @property
    def missed(self) -> bool:
        """Say whether recovering repeats it."""
        given_up = self.state is DeliveryState.CANCELLED and self.reason == HELD_TOO_LONG
        return given_up or self.state is DeliveryState.FAILED

    def erase(self, event: NewEvent) -> None:
        """Keep that there was a delivery and how its attempts ended, not what was said."""
        if self.pending:
            self.cancel(ERASED)
        elif self.body is None:
            self.reason = ERASED
        self.token = None
        self.event, self.body, self.warnings = event, None, ()
        self.attempts = [
            evolve(one, request_headers="[]", response_headers="[]", response_body=b"", warnings=())
            for one in self.attempts
        ]

    def end(self, state: DeliveryState, reason: str | None) -> None:
        """Leave it in its last state; results that come later find no token."""
        self.state, self.reason = state, reason
        self.due_at = self.token = None

    def cancel(self, reason: str) -> None:
        """Leave it cancelled; by its token, the attempt that may be under way is still kept."""
        self.state, self.reason, self.due_at = DeliveryState.CANCELLED, reason, None

    def keep(self, attempt: AttemptRow) -> None:
        """Let the log show a request that was under way when the delivery was cancelled."""
        self.attempts.append(attempt)
        self.token = None

    def to_ended(self) -> Ended:
        """Return what is told of a delivery that ended."""
        return Ended(
            tenant=self.event.tenant,
            webhook_id=self.webhook_id,
            endpoint_id=self.endpoint_id,
            event_id=self.event.id,
            delivery_id=self.id,
            state=self.state,
            reason=self.reason,
        )

    def to_delivery(self, *, held: bool) -> Delivery:
        """Return what the log shows."""
        return Delivery(
            id=self.id,
            tenant=self.event.tenant,
            event_id=self.event.id,
            webhook_id=self.webhook_id,
            endpoint_id=self.endpoint_id,
            product=self.event.product,
            event_type=self.event.event_type,
            url=self.url,
            state=self.state,
            held=held,
            attempt_count=len(self.attempts),
            created_at=from_us(self.created_at),
            next_attempt_at=optional_from_us(self.due_at),
            reason=self.reason,
            replay_of=self.replay_of,
        )

    def to_attempts(self) -> list[Attempt]:
        """Return its attempts as the log shows them."""
        return [_to_attempt(self.id, row) for row in self.attempts]


@define(eq=False)
class Lane:
    """Be the way of one endpoint: open or closed, its health, and its pending deliveries by due time."""

    tenant: str
    webhook_id: str
    endpoint_id: str
    closed_since: int
    open: bool = False
    held_us: int = 0
    failing_since: int | None = None
    failures: int = 0
    last_success_at: int | None = None
    last_failure_at: int | None = None
    _queue: list[tuple[int, str, DeliveryRow]] = field(factory=list)

    def pending(self) -> list[DeliveryRow]:
        """Return the deliveries that are still to be made, the first due one first."""
        self._queue = [entry for entry in self._queue if _current(entry)]
        heapify(self._queue)
        return sorted({row for _, _, row in self._queue}, key=attrgetter("due_at", "id"))

    def next_due(self) -> int | None:
        """Return when a delivery is due next, whether the lane is open or not."""
        while self._queue and not _current(self._queue[0]):
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def first_due(self, now: int) -> DeliveryRow | None:
        """Return the delivery that has been due for longest, if any is due."""
        due = self.next_due()
        return None if due is None or due > now else self._queue[0][2]

    def schedule(self, row: DeliveryRow, due_at: int, token: int | None = None) -> None:
        """Make the delivery due at a time; with a token, that is when its lease ends."""
        row.due_at, row.token = due_at, token
        heappush(self._queue, (due_at, row.id, row))

    def lease(self, row: DeliveryRow, *, now: int, until: int, token: int, config_version: int) -> Claimed:
        """Lease the delivery to the holder of the token."""
        self.schedule(row, until, token)
        event, body = row.event, row.body or b""
        return Claimed(
            self.tenant, row.id, event.id, self.webhook_id, self.endpoint_id, event.product, event.event_type,
            body, row.warnings, len(row.attempts), self._elapsed(row, now), token, config_version,
        )  # fmt: skip

    def set_open(self, now: int, *, open_: bool) -> None:
        """Open or close the lane; no delivery is touched, and time held counts neither for them nor for health."""
        if open_ and not self.open:
            held = now - self.closed_since
            self.held_us += held
            self.failing_since = None if self.failing_since is None else self.failing_since + held
        elif self.open and not open_:
            self.closed_since = now
        self.open = open_

    def settle(self, row: DeliveryRow, result: Result, now: int) -> str | None:
        """Note an attempt and what follows from it; return a reason to disable the endpoint, if there is one."""
        if not row.attempts:
            row.held_before = self.held_us
        row.attempts.append(result.sent)
        if result.state is DeliveryState.PENDING:
            self.schedule(row, now + (result.retry_in_us or 0))
        else:
            row.end(result.state, result.reason)
        return self._judge(result, now)

    def _judge(self, result: Result, now: int) -> str | None:
        if result.state is DeliveryState.DELIVERED:
            self.failing_since, self.failures, self.last_success_at = None, 0, now
            return None
        if self.failing_since is None:
            self.failing_since = now
        self.failures += 1
        self.last_failure_at = now
        return FAILING_TOO_LONG if now - self.failing_since >= _FIVE_DAYS else None

    def _elapsed(self, row: DeliveryRow, now: int) -> int:
        if not row.attempts:
            return 0
        return now - row.attempts[0].started_at - (self.held_us - row.held_before)


@define
class AnswerRow:
    """Be an answer, or that there is none yet."""

    created_at: int
    kept: IdempotencyRecord

    def is_over(self, now: int) -> bool:
        """Say whether it is to be forgotten."""
        lasts = ANSWER_AWAITED_US if self.kept.status is None else ANSWER_KEPT_US
        return self.created_at < now - lasts


def serve_in_turn(lanes: Iterable[Lane], serve: Callable[[Lane], bool]) -> None:
    """Serve one lane of each tenant in turn, over and over; a lane that cannot be served is done with."""
    turns: dict[str, deque[Lane]] = {}
    for lane in lanes:
        turns.setdefault(lane.tenant, deque()).append(lane)
    while turns:
        tenant = next(iter(turns))
        waiting = turns.pop(tenant)
        lane = waiting.popleft()
        if serve(lane):
            waiting.append(lane)
        if waiting:
            turns[tenant] = waiting


def _current(entry: tuple[int, str, DeliveryRow]) -> bool:
    # A delivery that was moved or ended leaves its old entries behind.
    due_at, _, row = entry
    return row.due_at == due_at


def _to_attempt(delivery_id: str, row: AttemptRow) -> Attempt:
    return Attempt(
        id=attempt_id(delivery_id, row.number),
        delivery_id=delivery_id,
        number=row.number,
        url=row.url,
        started_at=from_us(row.started_at),
        duration_ms=row.duration_us / 1000,
        status_code=row.status_code,
        error=row.error,
        request_headers=_pairs(row.request_headers),
        response_headers=_pairs(row.response_headers),
        response_body=row.response_body,
        warnings=row.warnings,
    )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))
