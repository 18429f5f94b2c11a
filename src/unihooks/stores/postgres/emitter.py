"""Insert events from threads of their own: events that arrive meanwhile share the next statement and its commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from operator import attrgetter
from random import random
from time import monotonic
from typing import TYPE_CHECKING

from attrs import evolve

from unihooks._base.queue_thread import QueueThread, given_up
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome
from unihooks.stores.postgres.errors import driver, explained, is_of_one_row, is_outage, is_transient
from unihooks.stores.postgres.pool import REST_SECONDS, Pool
from unihooks.stores.postgres.time import ServerClock, steady
from unihooks.stores.postgres.transaction import PostgresTransaction, Schema
from unihooks.stores.sql.emitting import event_of, events_of, insert_apart, insert_keyed, one_by_one_if_refused, resolve
from unihooks.stores.sql.quotas import insert_within
from unihooks.stores.sql.transaction import Call, Row, Submission

if TYPE_CHECKING:
    from unihooks.stores.postgres.connections import Connection

_KIND = attrgetter("tenant", "id", "product", "event_type")
_EVENTS_PER_GROUP = 1_000
_BYTES_PER_GROUP = 8 * 1024 * 1024
_FEW_BYTES = 16 * 1024
# An event may be inserted again after the connection broke; its id makes sure that it is stored once. The waits vary at
# random, so that not all processes come back at once.
_WAITS = (0.2, 0.8, 1.0)
_SPREAD = 0.2
# How long a server that refuses connections is tried.
_REFUSED_SECONDS = 3.0
_QUICK_SECONDS = 1.0
# If a server keeps its connection but does not respond, the request is repeated on another one, but only once: the
# first one may still be under way, for example a commit that waits for a standby.
_ANSWER_SECONDS = 6.0
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '5s'"
)


class Emitter:
    """The queues of events: one for plain events, and one for those with keys, which may wait for a host's transaction.

    Events of limited tenants have two of their own, since counting takes more round trips. `ready` is called before
    anything is inserted, `inserted` with the plain events that were inserted, `emitted` after each insertion.
    """

    def __init__(
        self,
        pool: Pool,
        schema: Schema,
        clock: ServerClock,
        *,
        ready: Callable[[], None],
        inserted: Callable[[Sequence[NewEvent]], None],
        emitted: Callable[[], None],
    ) -> None:
        self.pool, self.schema, self.clock = pool, schema, clock
        self.ready, self.inserted, self.emitted = ready, inserted, emitted
        self._plain, self._keyed = _Queue(self), _TransactionQueue(self)
        self._limited, self._limited_keyed = _TransactionQueue(self), _TransactionQueue(self)

    def emit(self, submission: Submission) -> bool:
        """Queue events for insertion; False if the emitter has been stopped."""
        plain = all(event.idempotency_key is None for event in submission.events)
        if submission.per_minute is not None:
            return (self._limited if plain else self._limited_keyed).add(submission)
        return (self._plain if plain else self._keyed).add(submission)

    def stop(self) -> None:
        """Finish what is queued and close the connections."""
        for queue in (self._plain, self._keyed, self._limited, self._limited_keyed):
            queue.stop()


class _Queue(QueueThread[Submission]):
    """A queue, the thread that empties it, and the connection that it inserts on, by one statement for many events.

    While the server cannot be reached, it tries again and again, together with the events that have come meanwhile.
    """

    def __init__(self, emitter: Emitter) -> None:
        super().__init__("unihooks-postgres-emitter", rest_seconds=REST_SECONDS)
        self._emitter = emitter
        self._connection: Connection | None = None
        self._unanswered: Connection | None = None
        self._silent = self.trouble = f"PostgreSQL at {emitter.pool.place} has not answered"
        self._refused_since: float | None = None

    def _work(self) -> None:
        failures = 0
        while self._gather():
            began = monotonic()
            try:
                self._emitter.ready()
                outcomes = self._inserted(repeated=failures > 0)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of these events
                if not self._may_try_again(error, began):
                    break
                # A wait of zero would only let other threads go first.
                time.sleep(_WAITS[min(failures, len(_WAITS) - 1)] * (1 + _SPREAD * random()))  # noqa: S311 - no secret
                failures += 1
            else:
                resolve(self._taken, outcomes)
                break
        self.trouble, self._refused_since = self._silent, None
        self._emitter.emitted()

    def _gather(self) -> bool:
        """Take what is queued, and fail those whose time is over; False if nobody is left."""
        [line], taken = self._lines, self._taken
        count = sum([len(one.events) for one in taken])
        size = sum([len(event.body or b"") for one in taken for event in one.events])
        while line and count < _EVENTS_PER_GROUP and size < _BYTES_PER_GROUP and self._take(line):
            count += len(taken[-1].events)
            size += sum(len(event.body or b"") for event in taken[-1].events)
        now = monotonic()
        for one in [one for one in taken if one.ends_at <= now]:
            self._fail(one, given_up(one.ends_at - one.asked_at, one.waiter))
        return bool(taken)

    def _inserted(self, *, repeated: bool) -> list[EmitOutcome]:
        events = [event for one in self._taken for event in one.events]
        if not events:
            return []
        outcomes = one_by_one_if_refused(lambda some: self._once(some, repeated=repeated), events, is_of_one_row)
        self._drop_unanswered()
        return outcomes

    def _may_try_again(self, error: Exception, began: float) -> bool:
        """Fail those who have waited long enough; False if nobody waits any more, or another try would be pointless."""
        if not isinstance(error, driver().Error):
            failure, is_hopeless = error, True
        else:
            failure, is_hopeless = explained(error), not (is_outage(error) or is_transient(error))
            # Idle connections are as old as the one that broke.
            self._emitter.pool.forget_idle()
        self.trouble = str(failure)
        for one in [*self._taken] if is_hopeless else self._refused(began):
            self._fail(one, failure)
        return not is_hopeless and bool(self._taken or self._lines[0])

    def _refused(self, began: float) -> list[Submission]:
        """Return those who have tried for long enough, after a failed attempt."""
        now = monotonic()
        if now - began > _QUICK_SECONDS:
            # The server has not refused anything.
            self._refused_since = None
            return []
        if self._refused_since is None:
            self._refused_since = began
        return [one for one in self._taken if now - max(self._refused_since, one.asked_at) >= _REFUSED_SECONDS]

    def _fail(self, one: Submission, failure: Exception) -> None:
        resolve([one], [failure for _ in one.events])
        self._taken.remove(one)

    def _rest(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._emitter.pool.give_back(connection, as_spare=True)

    def _close(self) -> None:
        self._drop_unanswered()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _drop_unanswered(self) -> None:
        if self._unanswered is not None:
            self._unanswered.close()
            self._unanswered = None

    def _once(self, events: Sequence[NewEvent], *, repeated: bool) -> list[EmitOutcome]:
        if self._connection is None or self._connection.closed:
            self._connection = self._emitter.pool.take()
        connection = self._connection
        before, clock = steady(), self._emitter.clock
        own_times = clock.clock is not None
        connection.ends_at = inf if self._unanswered else monotonic() + _ANSWER_SECONDS
        try:
            tx = PostgresTransaction(connection, self._emitter.schema, 0)
            outcomes, told = self._insert(tx, events, own_times=own_times, repeated=repeated)
        except BaseException:
            self._connection = None
            if monotonic() >= connection.ends_at and not connection.closed:
                self._unanswered = connection
            else:
                connection.close()
            raise
        if told is not None and not own_times:
            clock.learn(told, before)
        return outcomes

    def _insert(
        self, tx: PostgresTransaction, events: Sequence[NewEvent], *, own_times: bool, repeated: bool
    ) -> tuple[list[EmitOutcome], int | None]:
        """Insert events and commit; return their outcomes, and the server's time if that is known.

        `own_times` keeps the times of the events. `repeated` says that they may already be stored by a call whose
        response was lost.
        """
        return _insert_plain(tx, events, own_times=own_times, repeated=repeated, inserted=self._emitter.inserted)


class _TransactionQueue(_Queue):
    """A queue for events with keys, and for those whose tenants have a limit per minute."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__(emitter)
        self._limits: dict[str, int | None] = {}

    def _inserted(self, *, repeated: bool) -> list[EmitOutcome]:
        self._limits = {event.id: one.per_minute for one in self._taken for event in one.events}
        return super()._inserted(repeated=repeated)

    def _insert(
        self, tx: PostgresTransaction, events: Sequence[NewEvent], *, own_times: bool, repeated: bool
    ) -> tuple[list[EmitOutcome], int | None]:
        def insert(allowed: Sequence[NewEvent]) -> list[EmitOutcome]:
            return insert_apart(
                allowed,
                lambda plain: _insert_plain(tx, plain, own_times=own_times, repeated=repeated)[0],
                lambda keyed: insert_keyed(tx, keyed, own_times=own_times),
            )

        tx.execute(_BEGIN)
        # A repeated event may already have been counted and stored, and must then not be refused.
        limits = [None if repeated else self._limits[event.id] for event in events]
        outcomes = insert_within(tx, events, limits, insert)
        tx.execute("COMMIT")
        return outcomes, None


def _insert_plain(
    tx: PostgresTransaction,
    events: Sequence[NewEvent],
    *,
    own_times: bool,
    repeated: bool,
    inserted: Callable[[Sequence[NewEvent]], None] = lambda _: None,
) -> tuple[list[EmitOutcome], int | None]:
    """Insert events without keys in one statement; return the server's time, too, and pass them to `inserted`."""
    if repeated:
        return _insert_again(tx, events, own_times=own_times), None
    rows = _rows(events, own_times=own_times)
    # Larger ones are not prepared: writing them into the text takes longer than parsing and planning a statement.
    is_small = sum(len(one.body) for one in events) <= _FEW_BYTES
    found = tx.pipeline(Call("add_events", rows))[0].rows if is_small else tx.fetch("add_events", rows)
    told: int | None = None if own_times else found[0][0]
    if told is not None:
        events = [evolve(event, created_at=told) for event in events]
    inserted(events)
    return events_of(events), told


def _insert_again(tx: PostgresTransaction, events: Sequence[NewEvent], *, own_times: bool) -> list[EmitOutcome]:
    times = dict(map(tuple, tx.fetch("add_events_again", _rows(events, own_times=own_times))))
    # Those of the lost call may have been committed while this one waited for them, which only a later look sees.
    there = [(event.tenant, event.id) for event in events if event.id not in times]
    times.update(map(tuple, tx.fetch("times_of_events", there)))
    return [event_of(event, event.id, times[event.id]) for event in events]


def _rows(events: Sequence[NewEvent], *, own_times: bool) -> list[Row]:
    return [(*_KIND(one), one.created_at if own_times else None, one.subject, one.body) for one in events]
