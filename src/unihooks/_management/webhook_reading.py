"""The verbs of `dispatcher.webhooks` that read: get, list, health, activity, failures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter

from attrs import frozen

from unihooks._base.awaitable import awaitable
from unihooks._base.times import optional_microseconds
from unihooks._contract.activity import HOUR, SLICE, Activity, Failures, Report, activity, report
from unihooks._contract.filters import name_position
from unihooks._contract.statistics import WebhookHealth
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._model.checks import (
    check_choice,
    check_filters,
    check_id,
    check_member,
    check_moment,
    check_number,
    check_tenant,
    check_truth,
)
from unihooks._model.health import HealthState
from unihooks._model.webhooks import Webhook, WebhookStatus
from unihooks.abc import WebhookFilter
from unihooks.exceptions import InvalidArgument

_MOST_HOURS = 720
_MOST_FAILURES = 1_000
_HOUR = timedelta(hours=1)


@frozen
class WebhookReading:
    """The verbs of `Webhooks` that change nothing."""

    _settings: Settings

    def get(self, id: str, *, tenant: str = "default") -> Webhook:
        """Return a webhook."""
        return self._settings.open_store.get_webhook(check_tenant(tenant), check_id("webhook", id))

    def list(
        self,
        *,
        tenant: str = "default",
        status: WebhookStatus | str | None = None,
        search: str | None = None,
        health: HealthState | str | Iterable[HealthState | str] | None = None,
        attempted: bool | None = None,
        sort: str = "newest",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Webhook]:
        """List webhooks: `sort` is "newest", "oldest", "name" (ignoring case) or "health".

        `search` looks in name, description, URLs and metadata, ignoring case. With `health`, which may be several,
        "degraded", "failing" or "disabled" finds webhooks with an endpoint in that state as of its last attempt, and
        "healthy" those with an enabled endpoint, but none that is degraded or failing. `attempted` says whether
        anything was sent to an enabled endpoint yet. Sorted by "health", those that fail come first, then degraded
        ones, those whose endpoints are all disabled, healthy ones, and those without any attempt.
        """
        check_tenant(tenant)
        check_filters(search=search)
        check_choice("sort", sort, ("newest", "oldest", "name", "health"))
        filters = WebhookFilter(
            status=None if status is None else check_member("status", status, WebhookStatus),
            search=search or None,
            health=_healths(health),
            attempted=check_truth("attempted", attempted),
        )
        if sort == "health":
            fetch = partial(self._settings.open_store.webhooks_by_health, tenant, filters)
            found = paginate(fetch, lambda one: one[0], limit=limit, cursor=cursor, kind="health")
            return Page((webhook for _, webhook in found), found.next, found.previous)
        return paginate(
            partial(self._settings.open_store.list_webhooks, tenant, filters),
            name_position if sort == "name" else attrgetter("id"),
            limit=limit,
            cursor=cursor,
            kind="name" if sort == "name" else "id",
            rising=sort != "newest",
        )

    def health(self, webhook_ids: Iterable[str], *, tenant: str = "default") -> dict[str, WebhookHealth]:
        """Return the health of webhooks by id: endpoints, newest delivery, last 24 hours; unknown ids are left out."""
        wanted = [check_id("webhook", webhook_id) for webhook_id in _listed(webhook_ids)]
        return self._settings.open_store.webhook_health(check_tenant(tenant), wanted)

    def activity(self, webhook_id: str, *, tenant: str = "default", hours: int = 24) -> Activity:
        """Return the attempts of a webhook in the last hours (1 to 720), with latencies."""
        check_tenant(tenant)
        check_id("webhook", webhook_id)
        now = self._settings.open_store.now()
        since = now - check_number("hours", hours, at_most=_MOST_HOURS) * HOUR
        rows = self._settings.open_store.webhook_activity(tenant, webhook_id, since // HOUR * HOUR)
        return activity(rows, since, now, self._settings.deadline * 1000)

    def report(self, webhook_id: str, *, tenant: str = "default", hours: int = 24, step: timedelta = _HOUR) -> Report:
        """Return the attempts of a webhook in the last hours (1 to 720), by time steps and by endpoint.

        Steps are multiples of an hour; within the last hour, they may be 5 minutes.
        """
        check_tenant(tenant)
        check_id("webhook", webhook_id)
        now = self._settings.open_store.now()
        length = _checked_step(step, check_number("hours", hours, at_most=_MOST_HOURS))
        # The current step is not over, so it comes on top of the others.
        since = (now // length + 1) * length - hours * HOUR
        rows = self._settings.open_store.webhook_activity(tenant, webhook_id, since)
        return report(rows, since, now, length, self._settings.deadline * 1000)

    def failures(self, webhook_id: str, *, tenant: str = "default", since: datetime) -> Failures:
        """Return the failures of a webhook since a time: deliveries that failed or are to be retried, by their cause.

        If there are more than a thousand, only the newest are counted.
        """
        check_tenant(tenant)
        at = check_moment("since", since)
        return self._settings.open_store.webhook_failures(tenant, check_id("webhook", webhook_id), at, _MOST_FAILURES)

    aget = awaitable(get)
    alist = awaitable(list)  # noqa: A003 - the method above is meant
    ahealth = awaitable(health)
    aactivity = awaitable(activity)
    areport = awaitable(report)
    afailures = awaitable(failures)


def _healths(health: object) -> tuple[HealthState, ...]:
    if health is None:
        return ()
    given = health if isinstance(health, Iterable) and not isinstance(health, str) else (health,)
    return tuple(dict.fromkeys(check_member("health", one, HealthState) for one in given))


def _checked_step(step: object, hours: int) -> int:
    """Return the length of a step in microseconds."""
    length = optional_microseconds(step) if isinstance(step, timedelta) else None
    is_fine = length == SLICE and hours == 1
    if not length or not (is_fine or (length % HOUR == 0 and 0 < length <= hours * HOUR)):
        raise InvalidArgument("step must be whole hours, or 5 minutes with hours=1", name="step")
    return length


def _listed(webhook_ids: object) -> Iterable[object]:
    if isinstance(webhook_ids, Iterable) and not isinstance(webhook_ids, str | bytes):
        return webhook_ids
    raise InvalidArgument("webhook_ids must be a list of ids, not a single one", name="webhook_ids")
