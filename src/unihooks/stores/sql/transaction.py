"""The seam between the store's logic and a database: named statements, run in a transaction.

A statement's name means the same in the `.sql` files of each database, and so do its parameters and the columns of its
rows; only the text in their files differs.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from attrs import define, field

from unihooks._base.queue_thread import OneShot, Patience
from unihooks._base.times import Clock, to_us
from unihooks._contract.filters import Window
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome, Watcher
from unihooks.stores.sql.statements import Selection, Statements

T = TypeVar("T")
P = ParamSpec("P")
Row = Sequence[Any]


class Outcome(NamedTuple):
    """The outcome of a statement in a pipeline: the rows that it returned, and how many it changed."""

    rows: list[Row]
    changed: int


@define
class Call:
    """A statement to run, with its parameters.

    `rows` are the rows of the table parameter of a statement that declares
    one (`-- rows: column, ...`), each in the order of those columns.
    """

    name: str
    rows: Sequence[Row] | None = None
    values: Mapping[str, Any] = field(factory=dict)


@define(eq=False)
class Submission:
    """Events that were emitted in one call, and the future of their outcomes.

    They were submitted at `asked_at`, and nobody waits beyond `ends_at`: times of `time.monotonic()`. If `per_minute`
    is given, events of a tenant beyond that are refused.
    """

    events: Sequence[NewEvent]
    waiter: Future[list[EmitOutcome]] | OneShot
    asked_at: float
    ends_at: float
    per_minute: int | None = None


class Transaction(ABC):
    """An open transaction, with the time by the store's clock at which it began.

    A list among the parameters is a set of texts or numbers: `:ids` in `id = ANY(:ids)`, or `id IN (SELECT value FROM
    json_each(:ids))`. `opening` has the outcomes of the calls that were sent with its beginning, `errors` is the base
    class of the driver's errors.
    """

    now: int
    statements: Statements
    opening: Sequence[Outcome] = ()
    errors: type[Exception]
    # Whether the database knows by them which index finds few rows.
    has_statistics = True

    @abstractmethod
    def fetch(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> list[Row]:
        """Return the rows of a statement."""

    @abstractmethod
    def run(self, name: str, /, rows: Sequence[Row] | None = None, **values: Any) -> int:
        """Run a statement; return how many rows it changed. If its table parameter has no `rows`, do nothing."""

    @abstractmethod
    def pipeline(self, *calls: Call, commit: bool = False) -> list[Outcome]:
        """Run statements one after another, in one round trip where the database has any; return the outcome of each.

        This is for statements that run often. A call with empty `rows` is left out and returns no rows. With `commit`
        the transaction may end with them; what is run afterwards may be in a transaction of its own.
        """

    def select(self, name: str, selection: Selection, /) -> list[Row]:
        """Return the selected rows of a named SELECT."""
        return self.query(self.statements.selecting(name, selection), selection)

    def count(self, name: str, selection: Selection, /) -> int:
        """Return how many rows `select` would return, up to the selection's limit."""
        text = f"SELECT count(*) FROM ({self.statements.selecting(name, selection)}) AS found"  # noqa: S608 - only names
        return int(self.query(text, selection)[0][0])

    @abstractmethod
    def query(self, text: str, selection: Selection, /) -> list[Row]:
        """Return the rows of a text that takes the values and the limit of a selection."""

    @abstractmethod
    def script(self, text: str, /) -> None:
        """Run statements without parameters, each of which ends a line: a migration, say."""

    @abstractmethod
    def time(self) -> int:
        """Return the current time by the store's clock, in microseconds."""

    def fetch_one(self, name: str, /, **values: Any) -> Row | None:
        """Return the first row of a statement, None if there is none."""
        rows = self.fetch(name, **values)
        return rows[0] if rows else None


def page(
    tx: Transaction,
    name: str,
    selection: Selection,
    window: Window,
    columns: Sequence[str],
    *,
    place: Callable[[str], Sequence[Any]] = lambda edge: [edge],
) -> list[Row]:
    """Return the rows of a window of a named SELECT, in descending order of `columns`.

    `place` returns the values of these columns at a position.
    """
    for bound, sign in (("older_than", "<"), ("newer_than", ">")):
        edge = getattr(window, bound)
        if edge is not None:
            values = {f"{bound}_{number}": value for number, value in enumerate(place(edge))}
            names = ", ".join(f":{one}" for one in values)
            selection.where(f"({', '.join(columns)}) {sign} ({names})", **values)
    rising = window.newer_than is not None
    selection.order = ", ".join(f"{column} {'ASC' if rising else 'DESC'}" for column in columns)
    selection.limit = window.limit
    rows = tx.select(name, selection)
    return rows[::-1] if rising else rows


class StoreClock:
    """The store's clock: the host's if it has set one, otherwise the database's own."""

    def __init__(self) -> None:
        self.clock: Clock | None = None
        self._pinned: dict[int, int] = {}

    def now(self) -> int:
        """Return the time in microseconds."""
        if self.clock is not None:
            return to_us(self.clock())
        # Called several times per delivery, and the time is hardly ever pinned.
        pinned = self._pinned.get(threading.get_ident()) if self._pinned else None
        return self.own_time() if pinned is None else pinned

    def own_time(self) -> int:
        """Return the time by the database's own clock, or this machine's if it has none."""
        return time.time_ns() // 1000

    def for_host(self, at: int) -> int | str | None:
        """Return the time of an event as the insert on a host's connection takes it."""
        return at

    @contextmanager
    def pinned(self, at: int) -> Iterator[None]:
        """Stop the clock at `at` for this thread: a change of configuration happens at one exact time."""
        thread = threading.get_ident()
        outer = self._pinned.get(thread)
        self._pinned[thread] = at
        try:
            yield
        finally:
            if outer is None:
                del self._pinned[thread]
            else:
                self._pinned[thread] = outer


class Database(ABC):
    """A database that runs transactions, and notices what others have changed in it.

    It raises drivers' errors as `StoreError`. Nobody waits for it beyond this thread's `patience`.
    """

    time: StoreClock
    has_round_trips = False
    heartbeat_seconds = 30.0
    # How many workers count in each hour without waiting for each other, and whether each has lanes of its own. If only
    # one process writes at a time, neither helps.
    hour_parts = 1
    divides_lanes = False

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self.patience = Patience()

    @property
    @abstractmethod
    def store_id(self) -> str:
        """The unique id of this store."""

    @property
    @abstractmethod
    def opened_id(self) -> str | None:
        """`store_id` if it is already known."""

    def id_for_host(self) -> str:
        """Return `store_id` for an insert on a connection of the host, which may be in a transaction."""
        return self.store_id

    @abstractmethod
    def write(self, work: Callable[[Transaction], T], opening: Sequence[Call] = (), *, synced: bool = True) -> T:
        """Run `work` in a transaction and return its result once that is durable.

        `opening` has calls that begin the transaction and cost no round trip of their own. A transaction that is not
        `synced` reaches the disk with the next one that is, or within a second.
        """

    def at_once(self, calls: Sequence[Call], *, synced: bool = True) -> list[Outcome] | None:  # noqa: ARG002 - as above
        """Run calls as a whole transaction in one round trip.

        An empty call has no outcome of its own. None if that has no advantage here or has failed, for example because a
        statement has not found all that it requires; then nothing has been changed.
        """
        return None

    def submit(self, call: Callable[[], T], *, synced: bool) -> Future[T] | None:  # noqa: ARG002 - few have a thread
        """Run a call that writes in the writing thread, in one transaction; None if there is no such thread."""
        return None

    @abstractmethod
    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that sees one state of the database; never waits for writes."""

    def ask(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which is a single reading statement."""
        return self.read(work)

    @abstractmethod
    def emit(self, submission: Submission) -> None:
        """Insert events together with what others emit at the same time; never waits."""

    def look_seconds(self) -> tuple[float, float]:
        """Return how long a worker may rest between looks: just after it has found work, and at most."""
        return 0.01, 0.25

    def peek(self, work: Callable[[Transaction], T]) -> T | None:  # noqa: ARG002 - few databases are that near
        """Run `work`, a single reading statement, if that takes microseconds and waits for nobody."""
        return None

    def prune_days(self, older_than: int, *, exact: bool) -> tuple[int, int]:  # noqa: ARG002 - few databases keep days
        """Remove days of the log that are entirely older, if it is kept by days; create the coming ones.

        Return how many events were removed, and the time before which rows still have to be deleted one by one.
        """
        return 0, older_than

    @abstractmethod
    def migrate(self) -> list[str]:
        """Bring the schema up to date now; return the names of the steps taken."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued and close; the next use opens again."""

    def emitted(self) -> None:
        """Let the workers of this process plan what was inserted; never waits."""
        for watcher in tuple(self.watchers):
            watcher.emitted()

    def expect(self) -> None:
        """Let the workers of this process look repeatedly for what a host will commit; never waits."""
        for watcher in tuple(self.watchers):
            watcher.expected()

    def notify(self) -> None:  # noqa: B027 - few databases have anybody to tell
        """Let the workers of other processes look for work; never waits."""

    @property
    def is_relieved(self) -> bool:
        """Whether another process is notified of events, so that this one's workers leave them to it for a moment."""
        return False

    def listen(self) -> None:  # noqa: B027 - few databases have anything to tell
        """Note that no process is notified of events any more; never waits."""

    def scrub(self, *, later: bool = False) -> None:  # noqa: B027 - few databases leave anything
        """Remove erased content from files that may still hold older copies of it.

        If a reader prevents that, raise a `StoreError`, or do it `later`.
        """


def verb(kind: str, function: Callable[Concatenate[Transaction, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return the verb of a store that runs a function in a transaction of this kind: `write`, `read` or `ask`."""

    @wraps(function)
    def done_in_transaction(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        done: T = getattr(self._database, kind)(lambda tx: function(tx, *args, **kwargs))
        return done

    return done_in_transaction
