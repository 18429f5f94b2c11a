"""The operator's verbs of a dispatcher: overview, usage, prune, erase, migrate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from operator import attrgetter

from attrs import evolve

from unihooks._base.awaitable import awaitable
from unihooks._base.times import optional_microseconds
from unihooks._contract.statistics import Stats, TenantStatistics, Usage
from unihooks._management.overview import Overview, Watch
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._model.checks import check_filters, check_moment, check_tenant, storable
from unihooks.exceptions import InvalidArgument

_BATCH = 200
_PAUSE_SECONDS = 0.005


class Operates:
    """The part of a dispatcher that is for operators."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._watch = Watch()

    def stats(self) -> Stats:
        """Return the state of the queue over all tenants."""
        dropped = self.settings.hook_calls_dropped + self.settings.changes.dropped
        return evolve(self.settings.open_store.statistics(), hook_calls_dropped=dropped)

    def overview(self) -> Overview:
        """Return an operator's overview of all tenants: stats, trends, failing and slow endpoints."""
        return self._watch.overview(self.settings.open_store)

    def tenants(self, *, limit: int = 50, cursor: str | None = None) -> Page[TenantStatistics]:
        """List tenants by name, with how many webhooks they have and how much is due."""
        fetch, position = self.settings.open_store.list_tenants, attrgetter("tenant")
        return paginate(fetch, position, limit=limit, cursor=cursor, kind="tenant", rising=True)

    def usage(self, tenant: str = "default") -> Usage:
        """Return how much a tenant has, and how much it has done in the last 24 hours; zeros for an unknown one."""
        return self.settings.open_store.usage(check_tenant(tenant))

    astats = awaitable(stats)
    aoverview = awaitable(overview)
    atenants = awaitable(tenants)
    ausage = awaitable(usage)

    def prune(self, *, older_than: timedelta | datetime) -> int:
        """Remove older events, with their deliveries and attempts; return how many events were removed.

        `older_than` is an age or an aware datetime. An event that is not planned yet or has a pending delivery stays.
        Workers do this by themselves for events that are older than the dispatcher's `retention`.
        """
        edge, removed = self._edge(older_than), 0
        while (count := self.settings.open_store.prune(edge, _BATCH)) > 0:
            removed += count
            time.sleep(_PAUSE_SECONDS)  # Let claims and emits in between the batches.
        return removed

    def erase(
        self,
        *,
        tenant: str = "default",
        event_ids: Iterable[str] | None = None,
        before: datetime | None = None,
        subject: str | None = None,
    ) -> int:
        """Erase the content of a tenant's events for good; return how many were erased by this call.

        Give `event_ids`, or the aware datetime `before` for all events made before it, or a `subject` for all about it.
        Payloads, subjects, responses and request headers go; rows and counts stay. Pending deliveries are cancelled,
        and events that are not planned yet are never sent, but a request in flight is finished. Unknown ids, and those
        of other tenants, are ignored and not counted.

        Raises `StoreError` if another connection still holds old copies: erase again later.
        """
        store, tenant = self.settings.open_store, check_tenant(tenant)
        if sum(one is not None for one in (event_ids, before, subject)) != 1:
            raise TypeError("erase takes one of event_ids, before and subject")
        check_filters(subject=subject)
        ids = None if event_ids is None else _checked_ids(event_ids)
        edge = None if before is None else check_moment("before", before)

        def erased(batch: int, after: str) -> tuple[int, str | None]:
            # One id more than the store erases in a call tells it that more follow.
            some = None if ids is None else ids[batch * _BATCH : (batch + 1) * _BATCH + 1]
            return store.erase(tenant, event_ids=some, before=edge, subject=subject, after=after, limit=_BATCH)

        return _in_batches(erased)

    def erase_tenant(self, tenant: str) -> int:
        """Erase a tenant for good: webhooks, secrets, events with their log, and counts; return the number of events.

        It takes many short transactions. After a kill, call it again: it continues with what is left. Nothing more is
        sent once it has begun, but a request in flight is finished. Stop emitting for the tenant before you call it; a
        later tenant of the same name starts with nothing.

        Raises `StoreError` if another connection still holds old copies: erase again later.
        """
        store, tenant = self.settings.open_store, check_tenant(tenant)
        # The second round finds what was still being stored during the first.
        return sum(
            _in_batches(lambda _, after: store.erase_tenant(tenant, after=after, limit=_BATCH)) for _ in range(2)
        )

    aprune = awaitable(prune)
    aerase = awaitable(erase)
    aerase_tenant = awaitable(erase_tenant)

    def migrate(self) -> list[str]:
        """Create the store's schema or bring it up to date, best at start-up; return the names of the steps taken."""
        return self.settings.open_store.migrate()

    amigrate = awaitable(migrate)

    def _edge(self, older_than: object) -> int:
        if isinstance(older_than, datetime):
            return check_moment("older_than", older_than)
        if not isinstance(older_than, timedelta) or older_than < timedelta(0):
            sentence = "older_than must be an age, such as timedelta(days=30), or a datetime"
            raise InvalidArgument(sentence, name="older_than")
        return max(0, self.settings.open_store.now() - (optional_microseconds(older_than) or 0))


def _in_batches(erase: Callable[[int, str], tuple[int, str | None]]) -> int:
    """Erase batch after batch, each from where the last one has ended; return how many were erased."""
    erased, batch = 0, 0
    after: str | None = ""
    while after is not None:
        count, after = erase(batch, after)
        erased, batch = erased + count, batch + 1
        time.sleep(_PAUSE_SECONDS if after else 0)
    return erased


def _checked_ids(event_ids: object) -> list[str]:
    if isinstance(event_ids, str | bytes) or not isinstance(event_ids, Iterable):
        raise TypeError("event_ids must be a list of ids, not a single one")
    # A text that no store accepts is not the id of an event: leave it out, like unknown ids.
    return sorted({one for one in event_ids if isinstance(one, str) and storable(one)})
