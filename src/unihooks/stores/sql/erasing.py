"""Erase what events said and what came of it; forget idempotency keys."""

from __future__ import annotations

from collections.abc import Collection

from unihooks.abc import ERASED
from unihooks.stores.sql.transaction import Transaction


def forget_keys(tx: Transaction, older_than: int, limit: int) -> int:
    """Forget old idempotency keys."""
    return tx.run("forget_keys", older_than=older_than, limit=limit)


def erase(
    tx: Transaction, tenant: str, event_ids: Collection[str] | None, before: int | None, *, after: str, limit: int
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
        tx.run("erase_events", tenant=tenant, events=told)
        tx.run("erase_attempts", events=told)
        tx.run("erase_deliveries", events=told, reason=ERASED)
    return len(told), last
