"""The verbs of `dispatcher.webhooks` that read: one webhook, a list, and how webhooks are doing."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import attrgetter

from attrs import frozen

from unihooks._base.awaitable import awaitable
from unihooks._contract.filters import name_position
from unihooks._contract.statistics import HOUR, Activity, WebhookHealth, activity
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._model.checks import check_choice, check_filters, check_id, check_member, check_number, check_tenant
from unihooks._model.health import HealthState
from unihooks._model.webhooks import Webhook, WebhookStatus
from unihooks.abc import WebhookFilter
from unihooks.exceptions import InvalidArgument

_MOST_HOURS = 720


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
        health: HealthState | str | None = None,
        sort: str = "newest",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Webhook]:
        """List webhooks: `sort` is "newest", "oldest" or "name" (ignoring case).

        `search` looks in name, description, URLs and metadata, ignoring case. With `health`, "degraded", "failing" or
        "disabled" finds webhooks with an endpoint in that state as of its last attempt, and "healthy" all others.
        """
        check_tenant(tenant)
        check_filters(search=search)
        check_choice("sort", sort, ("newest", "oldest", "name"))
        filters = WebhookFilter(
            status=None if status is None else check_member("status", status, WebhookStatus),
            search=search or None,
            health=None if health is None else check_member("health", health, HealthState),
        )
        return paginate(
            partial(self._settings.open_store.list_webhooks, tenant, filters),
            name_position if sort == "name" else attrgetter("id"),
            limit=limit,
            cursor=cursor,
            kind="name" if sort == "name" else "id",
            rising=sort != "newest",
        )

    def health(self, webhook_ids: Iterable[str], *, tenant: str = "default") -> dict[str, WebhookHealth]:
        """Return how webhooks are doing, by id: endpoints, newest delivery, last 24 hours; unknown ids are left out."""
        wanted = [check_id("webhook", webhook_id) for webhook_id in _listed(webhook_ids)]
        return self._settings.open_store.webhook_health(check_tenant(tenant), wanted)

    def activity(self, webhook_id: str, *, tenant: str = "default", hours: int = 24) -> Activity:
        """Return what was sent to a webhook in the last hours (1 to 720), with latencies."""
        check_tenant(tenant)
        check_id("webhook", webhook_id)
        now = self._settings.open_store.now()
        since = now - check_number("hours", hours, at_most=_MOST_HOURS) * HOUR
        rows = self._settings.open_store.webhook_hours(tenant, webhook_id, since // HOUR)
        return activity(rows, since, now, self._settings.deadline * 1000)

    aget = awaitable(get)
    alist = awaitable(list)  # noqa: A003 - the method above is meant
    ahealth = awaitable(health)
    aactivity = awaitable(activity)


def _listed(webhook_ids: object) -> Iterable[object]:
    if isinstance(webhook_ids, Iterable) and not isinstance(webhook_ids, str | bytes):
        return webhook_ids
    raise InvalidArgument("webhook_ids must be a list of ids, not a single one", name="webhook_ids")
