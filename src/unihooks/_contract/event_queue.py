"""The contract of a store's queue: the way of events to results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from unihooks._base.jobs import given_up
from unihooks._contract.leasing import ALONE, Capacity, Claimed, Lease, Planned, Recorded, Result, Share, Work
from unihooks._contract.planning import MOST_PER_EVENT, NewEvent
from unihooks._model.log import Event
from unihooks._model.policy import CircuitBreaker

T = TypeVar("T")
EmitOutcome = Event | Exception


class Watcher(Protocol):
    """Whom a store tells that there may be work. All of it is hints, may come in any thread, and never waits."""

    def emitted(self) -> None:
        """Learn that events were inserted here, or that somebody wants workers to look."""

    def changed(self) -> None:
        """Learn that another process may have left work."""

    def expected(self) -> None:
        """Learn that work is to come that the store cannot see yet, as a host has still to commit it."""


class EventQueue(ABC):
    """The way of events to results: emitting, planning, claiming and recording.

    An event is new until it is planned, and planned once, whoever plans. A delivery that is due is leased by one worker
    at a time; whoever holds its token decides what becomes of it. Inserting events takes `emit_deadline` seconds at the
    most: after them, whoever waits is told that they may have been stored or not.
    """

    emit_deadline: float = 10.0

    def ready(self) -> None:  # noqa: B027 - few stores have anything to open
        """Open what the first verb would open, which may take a while; `submit_events` then never waits."""

    def submit(self, verb: Callable[..., T], *args: Any) -> Future[T] | None:  # noqa: ARG002 - few stores have one
        """Begin `plan`, `claim`, `record` or `release` in the store's own thread; None if it has none for it."""
        return None

    @abstractmethod
    def submit_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> Future[list[EmitOutcome]]:
        """Insert the events durably, together with what others submit at the same time.

        The future's result has one entry per event, in order: the stored event's `Event` without payload (payload
        None), or the error that this event alone met. With an idempotency key that the tenant has used, it is the first
        event if the digests are equal, `IdempotencyConflict` otherwise.

        With `per_minute`, an event is `LimitReached` if so many of its tenant have been inserted with a limit in the
        same minute (of their `created_at`), by whomever.
        """

    def insert_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[EmitOutcome]:
        """Do what `submit_events` does and wait for its result; a store may know a cheaper way to wait."""
        submitted = self.submit_events(events, per_minute)
        try:
            return submitted.result(self.emit_deadline)
        except TimeoutError as error:
            raise given_up(self.emit_deadline, submitted) from error

    @abstractmethod
    def insert_together(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[Event]:
        """Insert the events durably, all of them or none; return them without payloads.

        With an idempotency key that the tenant has used, it is the first event; `IdempotencyConflict` if a digest
        differs. With `per_minute`, `LimitReached` if any of them is beyond that.
        """

    @abstractmethod
    def emit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Insert the event with one statement on a host's synchronous connection; never commit.

        With `per_minute` it is counted, too, and `LimitReached` beyond that; what others have not committed does not
        count.

        `StoreError` if the connection leads to another database, `TypeError` if its kind is not known.
        """

    @abstractmethod
    async def aemit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Do what `emit_on` does on a synchronous or asynchronous connection."""

    def look_seconds(self) -> tuple[float, float]:
        """Return how long a worker at rest waits for its next look: just after work has come, and at the most."""
        return 0.01, 0.25

    @abstractmethod
    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell the watcher of work from now on; return what ends that."""

    @abstractmethod
    def wake(self, *, here: bool = True) -> None:
        """Let workers look for work soon, those of this process only if `here`. Never waits."""

    @abstractmethod
    def work(self, share: Share = ALONE, *, patient: bool = False) -> Work:
        """Return whether there are new events, and when an open lane is next due.

        Lanes of others are due half a second later. With `patient`, new events are left out for a moment where the
        worker of another process is told of them.
        """

    def peek(self) -> Work | None:
        """Return what `work` does where that takes microseconds and waits for nobody, None where it would not."""
        return None

    @abstractmethod
    def plan(
        self,
        lease: Lease,
        capacity: Capacity,
        limit: int,
        most_per_event: int = MOST_PER_EVENT,
        share: Share = ALONE,
    ) -> Planned:
        """Turn up to `limit` new events into deliveries, tenants in turn, and mark them planned.

        Events are claimed first, then the tenants' configuration are read, then `plan_event` decides.
        Deliveries for lanes that are open, and have room and neither limits nor a pause, are leased to the caller,
        unless others have something to do in a lane that is not of its share; what is not leased is due now. An event
        is planned once, whoever else plans; one of large fan-out takes several calls, and after each it goes to
        the end of the queue. A call is bounded in deliveries and in time. An event whose planning fails is tried again
        later, and set aside with the reason after five tries. Of an event that leads to more deliveries than
        `most_per_event`, the first are made, a warning is logged, and it is planned. What an ordered match makes of an
        event with a subject waits for earlier deliveries of that subject to its endpoint, and such an event waits in
        the queue as long as an earlier one of its subject does.
        """

    @abstractmethod
    def claim(self, lease: Lease, capacity: Capacity, share: Share = ALONE) -> list[Claimed]:
        """Lease due deliveries of open lanes with capacity, the longest due lanes first, tenants in turn.

        Lanes of the share come first; those of others only where they have been due for longer than half a second. A
        delivery whose lease ended is due again, whoever holds it.

        A lane with limits lets go only so many, over all workers: a token for each, which come at the policy's `rate`
        and of which up to its burst are kept, and no more leased at once than `in_flight`. A lane in a pause lets none
        go, and after it one at a time, the oldest that is due, until one has succeeded.
        """

    @abstractmethod
    def record(self, results: Sequence[Result], breaker: CircuitBreaker | None = None) -> Recorded:
        """Store attempts, states and lane health of those results whose token still holds the delivery.

        A result whose token does not is dropped whole. Of one whose delivery was cancelled meanwhile the attempt is
        kept, unless the event was erased, and nothing else changes; it is not accepted. Success clears the endpoint's
        health, as does a failure more than FAILING_SILENCE_US after the one before. An endpoint with nothing but
        failures for 5 days is then disabled (FAILING_TOO_LONG) by a delivery that has failed twice or is not tried
        again, as is one whose result says so. A result without an attempt fails its delivery and changes nothing else.
        What ends lets the next delivery of its order go, as it does wherever else it ends.
        After as many failures in a row as the breaker bears, the lane waits for a pause of it; then `claim` leases one
        delivery, the probe, whose failure begins the next pause. A success lets the lane go on.
        Each change of an endpoint's health is told once, whoever records; while nothing fails, only those that were not
        healthy are looked at.
        """

    @abstractmethod
    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give leased deliveries back, due now, where the token still holds them."""

    @abstractmethod
    def heartbeat(self, worker_id: str, *, gone: bool = False) -> Share:
        """Note that this worker lives, or that it has ended; return its share among those that are alive."""

    def heartbeat_seconds(self) -> float:
        """Return the time between two heartbeats of a worker."""
        return 30.0

    @abstractmethod
    def expire_held(self, older_than: int, limit: int) -> int:
        """Cancel up to `limit` pending deliveries held (and stored) since before `older_than`; return how many.

        As workers call this every 30 s, a store also notes then what `trends` tells.
        """

    @abstractmethod
    def prune(self, older_than: int, limit: int, *, exact: bool = True) -> int:
        """Remove up to `limit` planned events made before `older_than`, with all that belongs to them.

        Never one with a pending delivery. Return how many events went. A store that keeps the log by days may remove a
        whole day beyond the limit; unless it is to be `exact`, it need not count that one, and may leave what is not
        older by a whole day.
        """

    @abstractmethod
    def forget_keys(self, older_than: int, limit: int) -> int:
        """Forget up to `limit` idempotency keys (and digests) of events made before `older_than`; return how many.

        The events stay. A key that is forgotten makes a new event.
        """

    def fold_hours(self, older_than: int, limit: int) -> int:  # noqa: ARG002 - few stores count in parts
        """Put together what several workers have counted apart, up to `limit` rows of hours that ended before a time.

        Return how many rows there were.
        """
        return 0
