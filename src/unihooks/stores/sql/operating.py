"""Read the operator's figures over all tenants, and note how old the queue is."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from unihooks._base.times import from_us
from unihooks._contract.activity import DAY_HOURS, HOUR, SLICE, HourRow, hour_counts
from unihooks._contract.leasing import holder
from unihooks._contract.operating import Backlog, LeasedDelivery, QueueAge, TenantFailures, Trends
from unihooks._model.jobs import Job
from unihooks._model.log import DeliveryState
from unihooks.abc import Result
from unihooks.exceptions import StoreError
from unihooks.stores.sql import statistics
from unihooks.stores.sql.jobs import find_jobs
from unihooks.stores.sql.rows import to_value
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Database, Row, Transaction

_MOST_COUNTED = 1_000
_LAST_SECONDS = 1.0
_SLICES_KEPT = (DAY_HOURS + 1) * HOUR // SLICE


class Totals:
    """The counts of this process since they were last written to the database, by hour and tenant.

    Counting in memory costs no statement per delivery, and workers do not wait for each other's rows. A process that is
    killed loses the counts of up to half a minute, which only charts use.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._counts: dict[tuple[int, str], list[int]] = {}
        self._process = os.getpid()

    def count(self, results: Iterable[Result], accepted: Collection[str], now: int) -> None:
        """Count the attempts whose results were accepted."""
        hour = now // HOUR
        with self._gate:
            self._begin_in_child()
            for item in results:
                if item.attempt is not None and item.claimed.id in accepted:
                    counts = self._counts.setdefault((hour, item.claimed.tenant), [0, 0])
                    counts[item.state is not DeliveryState.DELIVERED] += 1

    @contextmanager
    def taken(self) -> Iterator[list[Row]]:
        """Yield the rows that are to be written now; if that fails, they are written with the next ones."""
        with self._gate:
            self._begin_in_child()
            taken, self._counts = self._counts, {}
        try:
            yield [(hour, tenant, delivered, failed) for (hour, tenant), (delivered, failed) in sorted(taken.items())]
        except BaseException:
            with self._gate:
                for key, counts in taken.items():
                    known = self._counts.get(key, (0, 0))
                    self._counts[key] = [one + other for one, other in zip(known, counts, strict=True)]
            raise

    def finish(self, database: Database) -> None:
        """Write what is left, for example by a process that only drains, and close the database."""
        with suppress(StoreError), database.patience.within(_LAST_SECONDS), self.taken() as rows:
            if rows:
                database.write(lambda tx: note_totals(tx, rows))
        database.close()

    def _begin_in_child(self) -> None:
        # The parent writes its own counts.
        if self._process != os.getpid():
            self._process, self._counts = os.getpid(), {}


def note_totals(tx: Transaction, rows: list[Row]) -> None:
    """Write the counts, and forget those of more than a day ago."""
    tx.run("add_totals", rows)
    tx.run("forget_totals", before=tx.now // HOUR - DAY_HOURS - 1)


def note_queue_age(tx: Transaction) -> None:
    """Note how long the oldest new event or due delivery has waited by now."""
    [(due_at,)] = tx.fetch("oldest_due")
    waiting = [at for at in (due_at, statistics.oldest_unplanned(tx)) if at is not None]
    age_us, slot = max(0, tx.now - min(waiting, default=tx.now)), tx.now // SLICE
    tx.run("note_queue_age", slot=slot, age_us=age_us)
    tx.run("forget_queue_ages", before=slot - _SLICES_KEPT)


def trends(tx: Transaction, limit: int) -> Trends:
    """Return the trends of 24 hours, with this many tenants."""
    since = tx.now // HOUR - DAY_HOURS
    hours = hour_counts((HourRow(*row) for row in tx.fetch("throughput", since=since)), since * HOUR, tx.now)
    ages = [QueueAge(from_us(slot * SLICE), age) for slot, age in tx.fetch("queue_ages", since=since * HOUR // SLICE)]
    failing = [to_value(TenantFailures, row) for row in tx.fetch("failures_by_tenant", since=since, limit=limit)]
    return Trends(ages=ages, hours=hours, tenants=failing)


def backlog(tx: Transaction, tenant: str) -> Backlog:
    """Return the backlog of a tenant."""
    [counts] = tx.fetch("backlog_counts", tenant=tenant, now=tx.now)
    unplanned = tx.count("new_events_of_tenant", Selection(values={"tenant": tenant}, limit=_MOST_COUNTED))
    [(unplanned_at,)] = tx.fetch("oldest_unplanned_of_tenant", tenant=tenant)
    due, in_flight, later, held, due_at = counts
    row = (unplanned, due, in_flight, later, held, unplanned_at, due_at)
    return to_value(Backlog, row)


def leased(tx: Transaction, limit: int) -> list[LeasedDelivery]:
    """Return the leased deliveries, those whose leases end soonest first."""
    rows = tx.fetch("deliveries_held_by_workers", now=tx.now, limit=limit)
    return [to_value(LeasedDelivery, (holder(token), *rest)) for token, *rest in rows]


def newest_jobs(tx: Transaction, limit: int) -> list[Job]:
    """Return the newest jobs of all tenants, and those that have not ended."""
    unfinished = find_jobs(tx, Selection(["j.ended_at IS NULL"], order="j.turn", limit=limit))
    newest = find_jobs(tx, Selection(order="j.id DESC", limit=limit))
    return sorted({job.id: job for job in (*unfinished, *newest)}.values(), key=lambda job: job.id, reverse=True)
