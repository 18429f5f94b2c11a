"""The contract of a store's queue: the path of events to recorded results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from unihooks._base.queue_thread import given_up
from unihooks._contract.leasing import ALONE, Capacity, Claimed, Lease, Planned, Recorded, Result, Share, Work
from unihooks._contract.planning import MOST_PER_EVENT, NewEvent
from unihooks._model.log import Event
from unihooks._model.policy import CircuitBreaker

T = TypeVar("T")
EmitOutcome = Event | Exception


class Watcher(Protocol):
    """The recipient of a store's hints that there may be work. They may come in any thread, and must never wait."""

    def emitted(self) -> None:
        """Learn that events were inserted here, or that workers are asked to look."""

    def changed(self) -> None:
        """Learn that another process may have left work."""

    def expected(self) -> None:
        """Learn of coming work that the store cannot see yet, since a host has yet to commit it."""


class EventQueue(ABC):
    """The path of events to recorded results: emitting, planning, claiming and recording.

    An event is new until it is planned, and is planned once, however many workers plan. A due delivery is leased by one
    worker at a time; the holder of its token decides what becomes of it. Inserting events takes at most `emit_deadline`
    seconds: after that, the caller is told that they may or may not have been stored.
    """

    emit_deadline: float = 10.0

    def ready(self) -> None:  # noqa: B027 - few stores have anything to open
        """Open what the first verb would open, which may take a while; afterwards `submit_events` never waits."""

    def submit(self, verb: Callable[..., T], *args: Any) -> Future[T] | None:  # noqa: ARG002 - few stores have one
        """Start `plan`, `claim`, `record` or `release` in the store's own thread; None if it has no thread for it."""
        return None

    @abstractmethod
    def submit_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> Future[list[EmitOutcome]]:
        """Insert the events durably, together with what others submit at the same time.

        The future's result has one entry per event, in order: the stored `Event` without its payload (None), or the
        error of this event alone. For an idempotency key that the tenant has used, it is the first event if the digests
        are equal, `IdempotencyConflict` otherwise.

        With `per_minute`, an event is `LimitReached` if that many of its tenant have been inserted with a limit in the
        same minute (of their `created_at`), in any process.
        """

    def insert_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[EmitOutcome]:
        """Insert events as `submit_events` does, and wait for the result; a store may have a cheaper way to wait."""
        submitted = self.submit_events(events, per_minute)
        try:
            return submitted.result(self.emit_deadline)
        except TimeoutError as error:
            raise given_up(self.emit_deadline, submitted) from error

    @abstractmethod
    def insert_together(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[Event]:
        """Insert the events durably, all of them or none; return them without payloads.

        For an idempotency key that the tenant has used, the first event is returned; `IdempotencyConflict` if a digest
        differs. With `per_minute`, `LimitReached` if any of them exceeds that.
        """

    @abstractmethod
    def emit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Insert the event with one statement on a host's synchronous connection; never commit.

        With `per_minute` it is also counted, and `LimitReached` beyond that; uncommitted events of others do not count.

        `StoreError` if the connection leads to another database, `TypeError` if its kind is not known.
        """

    @abstractmethod
    async def aemit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Do what `emit_on` does on a synchronous or asynchronous connection."""

    def look_seconds(self) -> tuple[float, float]:
        """Return how long a worker at rest waits between looks for work: just after it has found some, and at most."""
        return 0.01, 0.25

    @abstractmethod
    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell the watcher of work from now on; return a function that ends that."""

    @abstractmethod
    def wake(self, *, here: bool = True) -> None:
        """Let workers look for work soon, with `here` only those of this process. Never waits."""

    @abstractmethod
    def work(self, share: Share = ALONE, *, patient: bool = False) -> Work:
        """Return whether there are new events, and when an open lane is next due.

        Lanes of other workers count as due half a second later. With `patient`, new events are ignored for a moment if
        a worker of another process is notified of them.
        """

    def peek(self) -> Work | None:
        """Return what `work` returns if that takes microseconds and waits for nobody, otherwise None."""
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

        Events are claimed first, then the tenants' configurations are read, then `plan_event` decides.
        Deliveries for open lanes with capacity and with neither limits nor a pause are leased to the caller, unless the
        lane belongs to another worker that is busy; all others are due now. An event is planned once, however many
        workers plan; one of large fan-out takes several calls, and after each it goes to the end of the queue. A call
        is bounded in deliveries and in time. An event whose planning fails is tried again later, and set aside with the
        reason after five tries. If an event leads to more deliveries than `most_per_event`, only that many are made, a
        warning is logged, and it counts as planned. Deliveries of an ordered webhook wait for earlier deliveries of the
        same subject to the same endpoint, and an event with a subject waits in the queue for earlier events of that
        subject.
        """

    @abstractmethod
    def claim(self, lease: Lease, capacity: Capacity, share: Share = ALONE) -> list[Claimed]:
        """Lease due deliveries of open lanes with capacity, the longest due lanes first, tenants in turn.

        Lanes of the share come first; those of other workers only once they have been due for half a second. A delivery
        whose lease has ended is due again, whoever holds it.

        A lane with limits applies them over all workers: each delivery takes a token, tokens come at the policy's
        `rate` and pile up to its burst, and at most `in_flight` are leased at once. During a pause, a lane yields none;
        after it, one at a time, the oldest that is due, until one has succeeded.
        """

    @abstractmethod
    def record(self, results: Sequence[Result], breaker: CircuitBreaker | None = None) -> Recorded:
        """Store attempts, states and lane health of the results whose token still holds the delivery.

        All other results are dropped. If the delivery was cancelled in the meantime, only the attempt is kept (not even
        that if the event was erased), and the result is not accepted. Success clears the endpoint's health, as does a
        failure more than FAILING_SILENCE_US after the previous one. An endpoint with nothing but failures for 5 days is
        disabled (FAILING_TOO_LONG) by a delivery that has failed twice or is not retried; so is one whose result says
        so. A result without an attempt fails its delivery and changes nothing else. A delivery that ends, here or
        elsewhere, lets the next one of its order go. After the number of failures in a row that the breaker allows, the
        lane pauses; then `claim` leases one delivery, the probe, whose failure begins the next pause. A success lets
        the lane continue. Each change of an endpoint's health is reported once, whoever records; while nothing fails,
        only endpoints that were not healthy are looked at.
        """

    @abstractmethod
    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give leased deliveries back, due now, if the token still holds them."""

    @abstractmethod
    def heartbeat(self, worker_id: str, *, gone: bool = False) -> Share:
        """Note that this worker is alive, or that it has ended; return its share among the workers that are alive."""

    def heartbeat_seconds(self) -> float:
        """Return the time between two heartbeats of a worker."""
        return 30.0

    @abstractmethod
    def expire_held(self, older_than: int, limit: int) -> int:
        """Cancel up to `limit` pending deliveries held (and stored) since before `older_than`; return how many.

        Workers call this every 30 s, so a store also records here what `trends` shows.
        """

    @abstractmethod
    def prune(self, older_than: int, limit: int, *, exact: bool = True) -> int:
        """Remove up to `limit` planned events made before `older_than`, with all that belongs to them.

        Events with a pending delivery stay. Return how many events were removed. A store that keeps the log by days may
        remove a whole day beyond the limit. Unless `exact`, it need not count those, and may keep what is not older by
        a whole day.
        """

    @abstractmethod
    def forget_keys(self, older_than: int, limit: int) -> int:
        """Forget up to `limit` idempotency keys (and digests) of events made before `older_than`; return how many.

        The events stay. A forgotten key leads to a new event.
        """

    def fold_hours(self, older_than: int, limit: int) -> int:  # noqa: ARG002 - few stores count in parts
        """Merge what several workers have counted separately, up to `limit` rows of hours that ended before a time.

        Return how many rows there were.
        """
        return 0
