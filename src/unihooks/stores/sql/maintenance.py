"""Maintain the database: clock steps, heartbeats, expiry of held deliveries, pruning and erasing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Collection, Sequence

from unihooks._base.ids import first_id
from unihooks._base.times import SECOND
from unihooks._contract.activity import HOUR
from unihooks._contract.leasing import SEEN_WITHIN_US
from unihooks.abc import ERASED, HELD_TOO_LONG
from unihooks.stores.sql import operating, ordering
from unihooks.stores.sql.deliveries import with_spans
from unihooks.stores.sql.health import keep_parts
from unihooks.stores.sql.transaction import Call, Database, Row, Transaction

_ID_AHEAD_US = 3_600 * SECOND
# After a smaller step, due deliveries just wait. Clocks that are corrected gradually, or differ a little, take none.
_LEAST_STEP_US = 5 * SECOND
_MINUTE, _MINUTES_KEPT = 60 * SECOND, 5


class ClockSteps:
    """The latest time that this process knows, and the number of backward steps that it has seen in the database.

    A process that starts after a step knows the time before it from what workers note every 30 s.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Start afresh with another clock."""
        self._latest: int | None = None
        self._counted = 0

    def follow(self, database: Database) -> None:
        """Look at the clock; if it was set back, move pending deliveries back by as much."""
        now, latest = database.time.now(), self._latest
        if latest is not None and now >= latest - _LEAST_STEP_US:
            self._latest = max(now, latest)
            return
        with self._gate:
            if self._latest is None:
                [(self._counted, noted_at)] = database.read(lambda tx: tx.fetch("clock_steps"))
                self._latest = max(now, noted_at or 0)
            back = self._latest - now
            if back > _LEAST_STEP_US:
                self._counted = database.write(lambda tx: _set_back(tx, self._counted, back))
                self._latest = now


def clear(tx: Transaction) -> None:
    """Empty all tables."""
    tx.script(tx.statements["clear"].text)
    tx.run("clear_keys")


def heartbeat(worker_id: str, now: int, *, alive_us: int, gone: bool = False) -> list[Call]:
    """Return the calls that note that a worker is alive or has ended; the last one reads its share.

    The share is among the workers seen within `alive_us`. Workers that were not seen for long are forgotten.
    """
    values = {"id": worker_id, "host": socket.gethostname(), "pid": os.getpid(), "now": now}
    return [
        Call("forget_workers", values={"before": now - 60 * SEEN_WITHIN_US}),
        Call("remove_worker", values={"id": worker_id}) if gone else Call("heartbeat", values=values),
        Call("rank", values={"id": worker_id, "since": now - alive_us}),
    ]


def expire_held(tx: Transaction, older_than: int, limit: int, totals: list[Row]) -> int:
    """Cancel deliveries held for too long; note the time, the queue's age, and this process's totals."""
    # Processes that start later read the time from this.
    tx.run("note_clock", now=tx.now)
    operating.note_queue_age(tx)
    operating.note_totals(tx, totals)
    # Processes whose clocks are behind may still count in the last minute.
    tx.run("forget_emitted", minute=tx.now // _MINUTE - _MINUTES_KEPT)
    cancelled = tx.fetch("expire_held", reason=HELD_TOO_LONG, older_than=older_than, limit=limit)
    chains = [(tenant, endpoint_id, subject) for tenant, endpoint_id, subject, place in cancelled if place is not None]
    tx.pipeline(ordering.locking(chains))
    ordering.free(tx, chains)
    return len(cancelled)


# The time of the next events, and how many of that moment have been left.
Place = tuple[int, int]


def prune(tx: Transaction, older_than: int, limit: int, place: Place = (0, 0)) -> tuple[int, Place | None]:
    """Remove old events with all that belongs to them, and finally what no event needs any more.

    Of the next `limit` old events, those without a pending delivery are removed. Returns how many, and where to
    continue.
    """
    after, skip = place
    found = tx.fetch("old_events", older_than=older_than, after=after, skip=skip, limit=limit)
    # Checked once they are locked, so that no replay can intervene.
    pending = {id_ for (id_,) in tx.fetch("events_still_pending", with_spans((row[0], row[1]) for row in found))}
    gone = [row for row in found if row[1] not in pending]
    _remove(tx, [(tenant, id_) for tenant, id_, _ in gone])
    tx.run("drop_keys", [(id_, created_at) for _, id_, created_at in gone])
    if len(found) == limit:
        last = found[-1][2]
        left = sum(created_at == last and id_ in pending for _, id_, created_at in found)
        return len(gone), (last, left + (skip if last == after else 0))
    tx.run("prune_hours", hour=older_than // HOUR)
    for name in ("prune_answers", "prune_former_endpoints", "prune_renderings", "prune_jobs"):
        tx.run(name, older_than=older_than)
    return len(gone), None


def forget_keys(tx: Transaction, older_than: int, limit: int) -> int:
    """Forget old idempotency keys."""
    return tx.run("forget_keys", older_than=older_than, limit=limit)


def fold_hours(tx: Transaction, older_than: int, limit: int) -> int:
    """Merge the parts of hours that ended before a time; return how many there were."""
    return keep_parts(tx, tx.fetch("take_parts", before=older_than // HOUR, limit=limit))


def erase(
    tx: Transaction,
    tenant: str,
    *,
    event_ids: Collection[str] | None = None,
    before: int | None = None,
    subject: str | None = None,
    after: str = "",
    limit: int,
) -> tuple[int, str | None]:
    """Erase the next events; return how many, and where to continue."""
    tx.run("erase_received", tenant=tenant)
    if subject is not None:
        found = tx.fetch("events_of_subject_to_erase", tenant=tenant, subject=subject, after=after, limit=limit)
        last = found[-1][0] if len(found) == limit else None
    elif event_ids is None:
        # Ids contain a time, but the time of an event is the database's, which may be a little behind.
        end = "~" if before is None else first_id("evt_", before + _ID_AHEAD_US)
        found = tx.fetch("next_events_to_erase", tenant=tenant, after=after, end=end, limit=limit)
        last = found[-1][0] if len(found) == limit else None
    else:
        chosen = sorted(one for one in set(event_ids) if one > after)
        found = tx.fetch("events_to_erase", tenant=tenant, events=chosen[:limit])
        last = chosen[limit - 1] if len(chosen) > limit else None
    told = {id_: created_at for id_, created_at, size in found if size and (before is None or created_at < before)}
    if told:
        forget_new(tx, tenant, told)
        events = with_spans((tenant, id_) for id_ in told)
        chains = [tuple(row) for row in tx.fetch("chains_of_events", events)]
        tx.pipeline(ordering.locking(chains))
        tx.fetch("lock_deliveries_to_erase", events)
        tx.run("erase_events", tenant=tenant, events=list(told), nothing=b"")
        tx.run("erase_attempts", events, nothing=b"")
        tx.run("erase_deliveries", events, reason=ERASED)
        ordering.free(tx, chains)
    return len(told), last


def forget_new(tx: Transaction, tenant: str, times: dict[str, int]) -> None:
    """Take events, with their times by id, out of the queue, and forget their keys."""
    tx.run("erase_new_events", tenant=tenant, events=list(times))
    tx.run("erase_new_events_again", tenant=tenant, events=list(times))
    tx.run("drop_keys", list(times.items()))


def _remove(tx: Transaction, keys: Sequence[tuple[str, str]]) -> None:
    """Remove events, by tenant and id, with their deliveries and attempts."""
    if not keys:
        return
    events = with_spans(keys)
    # A database may have to look in many days, for which planning takes longer than running.
    replays = tx.pipeline(Call("replays_of_events", events))[0].rows
    tx.run("prune_attempts_of_replays", replays)
    tx.run("prune_replays", replays)
    bounds = {"lowest": min(row[2] for row in events), "highest": max(row[3] for row in events)}
    tx.run("prune_attempts", events, **bounds)
    tx.run("prune_deliveries", events, **bounds)
    ids = [id_ for _, id_ in keys]
    tx.run("prune_events", keys, lowest=min(ids), highest=max(ids))


def _set_back(tx: Transaction, counted: int, back: int) -> int:
    """Move all that is pending back, unless another process has done so; return the current number of steps."""
    if not tx.run("count_clock_step", counted=counted, now=tx.now):
        return int(tx.fetch("clock_steps")[0][0])
    tx.run("set_back_deliveries", now=tx.now, back=back, never=ordering.NEVER)
    tx.run("set_back_lanes", now=tx.now, back=back)
    tx.run("set_back_jobs", now=tx.now, back=back)
    return counted + 1
