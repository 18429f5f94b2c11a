"""The operator's verbs of a dispatcher: overview, usage, prune, erase, migrate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter

from attrs import evolve

from unihooks._base.awaitable import awaitable
from unihooks._contract.statistics import Stats, TenantStatistics, Usage
from unihooks._management.overview import Overview, Watch
from unihooks._management.paging import Page, paginate
from unihooks._management.retention import erase, erase_tenant, prune
from unihooks._management.settings import Settings
from unihooks._model.checks import check_tenant


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
        return prune(self.settings.open_store, older_than)

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
        return erase(self.settings.open_store, check_tenant(tenant), event_ids, before, subject)

    def erase_tenant(self, tenant: str) -> int:
        """Erase a tenant for good: webhooks, secrets, events with their log, and counts; return the number of events.

        It takes many short transactions. After a kill, call it again: it continues with what is left. Nothing more is
        sent once it has begun, but a request in flight is finished. Stop emitting for the tenant before you call it; a
        later tenant of the same name starts with nothing.

        Raises `StoreError` if another connection still holds old copies: erase again later.
        """
        return erase_tenant(self.settings.open_store, check_tenant(tenant))

    aprune = awaitable(prune)
    aerase = awaitable(erase)
    aerase_tenant = awaitable(erase_tenant)

    def migrate(self) -> list[str]:
        """Create the store's schema or bring it up to date, best at start-up; return the names of the steps taken."""
        return self.settings.open_store.migrate()

    amigrate = awaitable(migrate)
