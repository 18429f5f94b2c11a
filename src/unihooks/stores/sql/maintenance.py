"""Keep the database in order: workers' signs of life, deliveries held too long, what is too old or is to be erased."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection

from unihooks._contract.leasing import SEEN_WITHIN_US
from unihooks._contract.statistics import HOUR
from unihooks.abc import ERASED, HELD_TOO_LONG
from unihooks.stores.sql.transaction import Transaction


def heartbeat(tx: Transaction, worker_id: str, *, gone: bool = False) -> None:
    """Note that a worker of this process lives or has ended; forget those that were not seen for long."""
    tx.run("forget_workers", before=tx.now - 60 * SEEN_WITHIN_US)
    if gone:
        tx.run("remove_worker", id=worker_id)
    else:
        tx.run("heartbeat", id=worker_id, host=socket.gethostname(), pid=os.getpid(), now=tx.now)


def expire_held(tx: Transaction, older_than: int, limit: int) -> int:
    """Cancel deliveries held for too long."""
    return tx.run("expire_held", reason=HELD_TOO_LONG, older_than=older_than, limit=limit)


def prune(tx: Transaction, older_than: int, limit: int) -> int:
    """Remove old events with all that belongs to them, and what no event needs any more."""
    found = tx.fetch("old_events", older_than=older_than, limit=limit)
    # Looked at again now that they are locked: a replay may have come between.
    pending = {id_ for (id_,) in tx.fetch("events_still_pending", events=[id_ for _, id_ in found])}
    gone = [(tenant, id_) for tenant, id_ in found if id_ not in pending]
    events = [id_ for _, id_ in gone]
    if events:
        tx.run("prune_attempts", events=events)
        tx.run("prune_deliveries", events=events)
        tx.run("prune_events", gone)
    tx.run("prune_hours", hour=older_than // HOUR)
    tx.run("prune_answers", older_than=older_than)
    tx.run("prune_former_endpoints", older_than=older_than)
    tx.run("prune_renderings", older_than=older_than)
    return len(gone)


def forget_keys(tx: Transaction, older_than: int, limit: int) -> int:
    """Forget old idempotency keys."""
    return tx.run("forget_keys", older_than=older_than, limit=limit)


def erase(
    tx: Transaction,
    tenant: str,
    *,
    event_ids: Collection[str] | None = None,
    before: int | None = None,
    after: str = "",
    limit: int,
) -> tuple[int, str | None]:
    """Erase the next events; return how many, and where to go on."""
    if event_ids is None:
        found = tx.fetch("next_events_to_erase", tenant=tenant, after=after, limit=limit)
        last = found[-1][0] if len(found) == limit else None
    else:
        chosen = sorted(one for one in set(event_ids) if one > after)
        found = tx.fetch("events_to_erase", tenant=tenant, events=chosen[:limit])
        last = chosen[limit - 1] if len(chosen) > limit else None
    told = [id_ for id_, created_at, size in found if size and (before is None or created_at < before)]
    if told:
        tx.fetch("lock_deliveries_to_erase", events=told)
        tx.run("erase_events", tenant=tenant, events=told, nothing=b"")
        tx.run("erase_attempts", events=told, nothing=b"")
        tx.run("erase_deliveries", events=told, reason=ERASED)
    return len(told), last
