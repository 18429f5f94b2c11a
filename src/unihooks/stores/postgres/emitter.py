"""Insert events from threads of their own: whatever arrives meanwhile shares the next statement and its commit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define, evolve

from unihooks._base.one_shot import OneShot
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome
from unihooks.stores.postgres.errors import driver, explained, is_of_one_row, is_outage, is_transient
from unihooks.stores.postgres.pool import Pool
from unihooks.stores.postgres.time import ServerClock, steady
from unihooks.stores.postgres.transaction import PostgresTransaction, Schema
from unihooks.stores.sql.emitting import event_of, events_of, insert_keyed, one_by_one_if_refused
from unihooks.stores.sql.transaction import Call

if TYPE_CHECKING:
    import psycopg

_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '5s'"
)
_FEW_BYTES = 16 * 1024
_EVENTS_PER_GROUP = 1_000
_BYTES_PER_GROUP = 8 * 1024 * 1024
# An event may be sent again after the connection broke: its id makes sure that it is stored once.
_WAITS = (0.0, 0.2, 0.8, 2.0)

_Insert = Callable[..., tuple[list[EmitOutcome], int | None]]


@define(eq=False)
class _Job:
    """A submission of which some events are still to be inserted."""

    outcomes: list[Any]
    left: int
    future: Future[list[EmitOutcome]] | OneShot


class _Item(NamedTuple):
    """One event of a submission."""

    job: _Job
    position: int
    event: NewEvent


class Emitter:
    """One queue for plain events, and one for those with keys, which may have to wait for a host's transaction."""

    def __init__(self, pool: Pool, schema: Schema, server_time: ServerClock, notify: Callable[[], None]) -> None:
        self._settled = threading.Lock()
        self._gate = threading.Lock()
        self._stopped = False
        self._notify = notify
        self.ready: Callable[[], None] = lambda: None
        self._plain = _Queue(pool, schema, server_time, _insert_plain, self)
        self._once = _Queue(pool, schema, server_time, _insert_keyed, self)

    def emit(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]] | None:
        """Queue events for insertion; None if the emitter has been stopped."""
        future: Future[list[EmitOutcome]] = Future()
        return future if self._queue(events, future) else None

    def insert(self, events: Sequence[NewEvent]) -> OneShot | None:
        """Do what `emit` does for a thread that will wait."""
        one_shot = OneShot()
        return one_shot if self._queue(events, one_shot) else None

    def settle(self, items: Sequence[_Item], outcomes: Sequence[EmitOutcome]) -> None:
        """Note outcomes, and resolve the submissions that are complete."""
        complete: list[_Job] = []
        with self._settled:
            for item, outcome in zip(items, outcomes, strict=True):
                item.job.outcomes[item.position] = outcome
                item.job.left -= 1
                if item.job.left == 0:
                    complete.append(item.job)
        for job in complete:
            job.future.set_result(job.outcomes)
        self._notify()

    def fail(self, items: Sequence[_Item], error: Exception) -> None:
        """Let the events have this error as their outcome."""
        self.settle(items, [error] * len(items))

    def stop(self) -> None:
        """Finish what is queued and close the connections."""
        with self._gate:
            self._stopped = True
        self._plain.stop()
        self._once.stop()

    def _queue(self, events: Sequence[NewEvent], future: Future[list[EmitOutcome]] | OneShot) -> bool:
        if not events:
            future.set_result([])
            return True
        future.set_running_or_notify_cancel()
        job = _Job([None] * len(events), len(events), future)
        items = [_Item(job, position, event) for position, event in enumerate(events)]
        plain = [item for item in items if item.event.idempotency_key is None]
        once = [item for item in items if item.event.idempotency_key is not None] if len(plain) < len(items) else []
        with self._gate:
            if self._stopped:
                return False
            self._plain.queue(plain)
            self._once.queue(once)
        return True


class _Queue:
    """A queue, the thread that empties it, and the connection that it inserts on."""

    def __init__(self, pool: Pool, schema: Schema, server_time: ServerClock, insert: _Insert, owner: Emitter) -> None:
        self._pool = pool
        self._schema = schema
        self._time = server_time
        self._insert = insert
        self._owner = owner
        self._ready = threading.Condition()
        self._items: deque[_Item] = deque()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._connection: psycopg.Connection[Any] | None = None

    def queue(self, items: Sequence[_Item]) -> None:
        if not items:
            return
        with self._ready:
            self._items.extend(items)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="unihooks-postgres-emitter", daemon=True)
                self._thread.start()
            self._ready.notify()

    def stop(self) -> None:
        with self._ready:
            self._stopping = True
            self._ready.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while items := self._take():
            try:
                self._owner.ready()
                outcomes = self._inserted([item.event for item in items])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is these events' outcome
                self._owner.fail(items, explained(error) if isinstance(error, driver().Error) else error)
            else:
                self._owner.settle(items, outcomes)
        self._drop()

    def _take(self) -> list[_Item]:
        with self._ready:
            while not self._items and not self._stopping:
                self._ready.wait()
            taken: list[_Item] = []
            size = 0
            while self._items and len(taken) < _EVENTS_PER_GROUP and size < _BYTES_PER_GROUP:
                taken.append(self._items.popleft())
                size += len(taken[-1].event.body or b"")
            return taken

    def _inserted(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        return one_by_one_if_refused(self._try, events, is_of_one_row)

    def _try(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        repeated = False
        for wait in _WAITS:
            time.sleep(wait)
            try:
                return self._once(events, repeated=repeated)
            except driver().Error as error:
                if not (is_outage(error) or is_transient(error)):
                    raise
                repeated = repeated or is_outage(error)
                last = error
                self._drop()
        raise explained(last) from last

    def _once(self, events: Sequence[NewEvent], *, repeated: bool) -> list[EmitOutcome]:
        if self._connection is None or self._connection.closed:
            self._connection = self._pool.connect()
        before = steady()
        clock = self._time.clock
        tx = PostgresTransaction(self._connection, self._schema, 0)
        try:
            outcomes, told = self._insert(tx, events, own_times=clock is not None, repeated=repeated)
        except BaseException:
            self._drop()
            raise
        if clock is None and told is not None:
            self._time.learn(told, before)
        return outcomes

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _insert_plain(
    tx: PostgresTransaction, events: Sequence[NewEvent], *, own_times: bool, repeated: bool
) -> tuple[list[EmitOutcome], int | None]:
    """Insert events without keys in one statement that commits by itself; return the server's time, too.

    `own_times` keeps the times that the events have. `repeated` says that
    they may be there already, from a call whose answer was lost.
    """
    rows = [
        (one.tenant, one.id, one.product, one.event_type, one.created_at if own_times else None, one.body)
        for one in events
    ]
    if repeated:
        times = dict(map(tuple, tx.fetch("add_events_again", rows)))
        return [event_of(event, event.id, times[event.id]) for event in events], None
    # Larger ones are not prepared: to write them into the text takes longer than to parse and plan a statement.
    is_small = sum(len(one.body) for one in events) <= _FEW_BYTES
    found = tx.pipeline(Call("add_events", rows))[0].rows if is_small else tx.fetch("add_events", rows)
    if own_times:
        return events_of(events), None
    told: int = found[0][0]
    return events_of([evolve(event, created_at=told) for event in events]), told


def _insert_keyed(
    tx: PostgresTransaction,
    events: Sequence[NewEvent],
    *,
    own_times: bool,
    repeated: bool,  # noqa: ARG001 - keys repeat well
) -> tuple[list[EmitOutcome], int | None]:
    """Insert events with keys in one transaction."""
    tx.execute(_BEGIN)
    outcomes = insert_keyed(tx, events, own_times=own_times)
    tx.execute("COMMIT")
    return outcomes, None
