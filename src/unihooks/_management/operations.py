"""What an operator asks of a dispatcher: the state of everything, removing, erasing, migrating."""

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
    """The part of a dispatcher that is the operator's."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._watch = Watch()

    def stats(self) -> Stats:
        """Return the state of the queue over all tenants."""
        dropped = self.settings.hook_calls_dropped + self.settings.changes.dropped
        return evolve(self.settings.open_store.statistics(), hook_calls_dropped=dropped)

    def overview(self) -> Overview:
        """Return what an operator looks at first, over all tenants: stats, failing and slow endpoints."""
        return self._watch.overview(self.settings.open_store)

    def tenants(self, *, limit: int = 50, cursor: str | None = None) -> Page[TenantStatistics]:
        """List tenants by name, with how many webhooks they have and how much is due."""
        fetch, position = self.settings.open_store.list_tenants, attrgetter("tenant")
        return paginate(fetch, position, limit=limit, cursor=cursor, kind="tenant", rising=True)

    def usage(self, tenant: str = "default") -> Usage:
        """Return how much a tenant has, and how much it has done in the last 24 hours; nothing for an unknown one."""
        return self.settings.open_store.usage(check_tenant(tenant))

    astats = awaitable(stats)
    aoverview = awaitable(overview)
    atenants = awaitable(tenants)
    ausage = awaitable(usage)

    def prune(self, *, older_than: timedelta | datetime) -> int:
        """Remove events that are older, with their deliveries and attempts; return how many went.

        `older_than` is an age or an aware time. An event that is not planned or has a pending delivery stays. Workers
        do this by themselves for what is past the dispatcher's `retention`.
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
        """Erase what a tenant's events said, for good; return how many were erased now.

        They are those of `event_ids`, those made before the aware time `before`, or all about one `subject`. Payloads,
        subjects, mapped bodies, answers and request headers go; rows and counts stay. What is pending is cancelled and
        what is not yet planned is never sent, but a request that is under way ends. Ids of other tenants and unknown
        ones are not found, and not counted.

        Raises `StoreError` when another connection still holds old copies: erase again later.
        """
        return erase(self.settings.open_store, check_tenant(tenant), event_ids, before, subject)

    def erase_tenant(self, tenant: str) -> int:
        """Erase a tenant for good: webhooks, secrets, events with their log, and counts; return how many events went.

        It takes many short transactions. After a kill, call it again: it goes on with what is left. Nothing is sent any
        more once it has begun, but a request that is under way ends. Emit nothing more for the tenant before you call
        it; a tenant of the same name begins anew.

        Raises `StoreError` when another connection still holds old copies: erase again later.
        """
        return erase_tenant(self.settings.open_store, check_tenant(tenant))

    aprune = awaitable(prune)
    aerase = awaitable(erase)
    aerase_tenant = awaitable(erase_tenant)

    def migrate(self) -> list[str]:
        """Create or bring up to date the store's schema, best at start-up; return the names of the steps taken."""
        return self.settings.open_store.migrate()

    amigrate = awaitable(migrate)
