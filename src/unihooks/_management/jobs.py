"""The verbs of `dispatcher.jobs`: recover and replay many deliveries in slices, see the progress, stop."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Unpack

from attrs import frozen

from unihooks._base.awaitable import awaitable
from unihooks._contract.filters import DeliveryFilters
from unihooks._management.log import to_delivery_filter
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._model.checks import check_choice, check_id, check_moment, check_tenant
from unihooks._model.jobs import Job
from unihooks.abc import Recovery, Replays, Task
from unihooks.exceptions import InvalidArgument

RENDERINGS = ("sent", "today")


@frozen
class Jobs:
    """Work on many deliveries that workers do in slices, tenants in turn, alongside live events.

    A job survives the end of the process that made it, and of any worker. Its slices follow each other at a pace that
    leaves room for live events, or at that of `Limits(job_deliveries_per_second=...)`, and wait while many deliveries
    are due in the same lanes. Jobs need a worker, or `drain`. Jobs that have ended are kept as long as events are.
    Another tenant's ids are not found.
    """

    _settings: Settings

    def recover(
        self, webhook_id: str, *, tenant: str = "default", since: datetime, until: datetime | None = None
    ) -> Job:
        """Let workers plan the events made in [since, until) that this webhook missed, and resend those that failed.

        They do what `log.recover` does, without its limit. Raises `InvalidArgument` if `until` is before `since`,
        `NotFound` for an unknown webhook, `LimitReached` if the tenant has `Limits.jobs_per_tenant` unfinished jobs.
        """
        first, now = check_moment("since", since), self._settings.open_store.now()
        last = now + 1 if until is None else check_moment("until", until)
        if until is not None and last < first:
            raise InvalidArgument("until must not be before since", name="until")
        webhook_id = check_id("webhook", webhook_id)
        return self._add(tenant, Recovery(webhook_id=webhook_id, since=first, until=last))

    def replay(self, *, tenant: str = "default", rendering: str = "sent", **filters: Unpack[DeliveryFilters]) -> Job:
        """Let workers replay the deliveries that match the filters now: see `DeliveryFilters`.

        They do what `log.replay_all` does, without its limit: with the bytes that were sent, or, if `rendering` is
        `"today"`, with those that the webhooks would send now. Raises `NotFound` if the filters name an unknown
        webhook, `LimitReached` if the tenant has `Limits.jobs_per_tenant` unfinished jobs.
        """
        check_choice("rendering", rendering, RENDERINGS)
        return self._add(tenant, Replays(filters=to_delivery_filter(filters), today=rendering == "today"))

    def get(self, id: str, *, tenant: str = "default") -> Job:
        """Return a job as it is now."""
        return self._settings.open_store.get_job(check_tenant(tenant), check_id("job", id))

    def list(self, *, tenant: str = "default", limit: int = 50, cursor: str | None = None) -> Page[Job]:
        """List jobs, newest first."""
        fetch = partial(self._settings.open_store.list_jobs, check_tenant(tenant))
        return paginate(fetch, attrgetter("id"), limit=limit, cursor=cursor)

    def stop(self, id: str, *, tenant: str = "default") -> Job:
        """Stop a job; the deliveries that it has made stay. A job that has ended stays as it is."""
        return self._settings.open_store.stop_job(check_tenant(tenant), check_id("job", id))

    arecover = awaitable(recover)
    areplay = awaitable(replay)
    aget = awaitable(get)
    alist = awaitable(list)  # noqa: A003 - the method above is meant
    astop = awaitable(stop)

    def _add(self, tenant: str, task: Task) -> Job:
        store, at_most = self._settings.open_store, self._settings.limits.jobs_per_tenant
        job = store.add_job(check_tenant(tenant), task, at_most=at_most)
        store.wake()
        return job
