"""Forget on request, in batches: prune old events, erase the content of events, or erase a whole tenant."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from unihooks._base.times import optional_microseconds
from unihooks._model.checks import check_filters, check_moment, storable
from unihooks.abc import Store
from unihooks.exceptions import InvalidArgument

_BATCH = 200
_PAUSE_SECONDS = 0.005


def prune(store: Store, older_than: timedelta | datetime) -> int:
    """Remove older events, except those with a pending delivery; return how many were removed."""
    edge = _edge(store, older_than)
    removed = 0
    while (count := store.prune(edge, _BATCH)) > 0:
        removed += count
        time.sleep(_PAUSE_SECONDS)  # Let claims and emits in between the batches.
    return removed


def erase(
    store: Store, tenant: str, event_ids: Iterable[str] | None, before: datetime | None, subject: str | None
) -> int:
    """Erase the content of the tenant's events with these ids, made before a time, or of a subject; return how many."""
    if sum(one is not None for one in (event_ids, before, subject)) != 1:
        raise TypeError("erase takes one of event_ids, before and subject")
    check_filters(subject=subject)
    ids = None if event_ids is None else _checked_ids(event_ids)
    edge = None if before is None else check_moment("before", before)
    erased, batch = 0, 0
    after: str | None = ""
    while after is not None:
        # One id more than the store erases in a call tells it that more follow.
        some = None if ids is None else ids[batch * _BATCH : (batch + 1) * _BATCH + 1]
        count, after = store.erase(tenant, event_ids=some, before=edge, subject=subject, after=after, limit=_BATCH)
        erased, batch = erased + count, batch + 1
        time.sleep(_PAUSE_SECONDS if after else 0)
    return erased


def erase_tenant(store: Store, tenant: str) -> int:
    """Remove everything that the tenant has; return how many events it had."""
    erased = 0
    # The second round finds what was still being stored during the first.
    for _ in range(2):
        after: str | None = ""
        while after is not None:
            count, after = store.erase_tenant(tenant, after=after, limit=_BATCH)
            erased += count
            time.sleep(_PAUSE_SECONDS if after else 0)
    return erased


def _edge(store: Store, older_than: object) -> int:
    if isinstance(older_than, datetime):
        return check_moment("older_than", older_than)
    if not isinstance(older_than, timedelta) or older_than < timedelta(0):
        raise InvalidArgument("older_than must be an age, such as timedelta(days=30), or a datetime", name="older_than")
    return max(0, store.now() - (optional_microseconds(older_than) or 0))


def _checked_ids(event_ids: object) -> list[str]:
    if isinstance(event_ids, str | bytes) or not isinstance(event_ids, Iterable):
        raise TypeError("event_ids must be a list of ids, not a single one")
    # A text that no store accepts is not the id of an event: leave it out, like unknown ids.
    return sorted({one for one in event_ids if isinstance(one, str) and storable(one)})
