"""The content of an operator's pages: charts of the last day, a tenant with all its data, a worker's leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import field, frozen

from unihooks._base.times import SECOND
from unihooks._contract.activity import SLICE, HourCount
from unihooks._contract.leasing import WorkerSeen, holder_of
from unihooks._contract.operating import Backlog, LeasedDelivery, QueueAge
from unihooks._contract.statistics import Usage
from unihooks._dispatcher import Dispatcher
from unihooks._management.paging import Page
from unihooks._model.jobs import Job
from unihooks._model.operational_product import OPERATIONAL
from unihooks._model.webhooks import Webhook
from unihooks.console.views.health import WebhookRow
from unihooks.console.words.locale import gettext

_TOPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 5 * 86_400)
_HOUR, _SLICE = timedelta(hours=1), timedelta(microseconds=SLICE)
_HEIGHT = 100
_MOST_LEASES = 1_000
_MOST_CHANGES = 20
_PER_PAGE = 50


@frozen
class AgeChart:
    """The chart of the queue's age: one SVG path of bars, five minutes each, below a round time."""

    path: str
    width: int
    top: timedelta
    worst: timedelta
    ticks: Sequence[datetime | None]


def age_chart(ages: Sequence[QueueAge], hours: Sequence[HourCount]) -> AgeChart:
    """Return the chart of the queue's age over the same hours as the throughput."""
    worst = max((one.age_us for one in ages), default=0)
    top = next((top for top in _TOPS if top * SECOND >= worst), _TOPS[-1])
    start, slices = hours[0].hour, len(hours) * int(_HOUR / _SLICE)
    bars = [
        f"M{int((one.at - start) / _SLICE)} {_HEIGHT - tall:.5g}h1v{tall:.5g}h-1z"
        for one in ages
        for tall in [max(min(one.age_us / SECOND / top, 1) * _HEIGHT, 0.8)]
    ]
    ticks = [one.hour if not at % 4 and at < len(hours) - 1 else None for at, one in enumerate(hours)]
    return AgeChart("".join(bars), slices, timedelta(seconds=top), timedelta(microseconds=worst), ticks)


@frozen(kw_only=True)
class Change:
    """A change of a webhook: the sentence, the webhook, and the time."""

    at: datetime
    what: str
    webhook_id: str
    webhook_name: str
    detail: str = ""


@frozen(kw_only=True)
class TenantView:
    """An operator's view of a tenant."""

    name: str
    usage: Usage
    backlog: Backlog
    webhooks: Page[Webhook]
    rows: Sequence[WebhookRow]
    jobs: Page[Job]
    changes: Sequence[Change] = field(factory=list)


def tenant_view(dispatcher: Dispatcher, tenant: str, cursor: str | None) -> TenantView:
    """Read a tenant's usage, backlog, webhooks with health, jobs, and what has changed as far as that is kept."""
    webhooks = dispatcher.webhooks.list(tenant=tenant, limit=_PER_PAGE, cursor=cursor)
    health = dispatcher.webhooks.health([one.id for one in webhooks], tenant=tenant)
    return TenantView(
        name=tenant,
        usage=dispatcher.usage(tenant),
        backlog=dispatcher.settings.open_store.backlog(tenant),
        webhooks=webhooks,
        rows=[WebhookRow(one, health.get(one.id)) for one in webhooks],
        jobs=dispatcher.jobs.list(tenant=tenant, limit=10),
        changes=_told(dispatcher, tenant) if dispatcher.settings.operational_events else _remembered(webhooks),
    )


def _told(dispatcher: Dispatcher, tenant: str) -> list[Change]:
    """Return what operational events tell, as long as events are kept."""
    titles = {one.name: one.title for one in OPERATIONAL}
    found = dispatcher.log.events(tenant=tenant, product=OPERATIONAL.name, limit=_MOST_CHANGES)
    return [
        Change(
            at=one.created_at,
            what=gettext(titles.get(one.event_type, one.event_type)),
            webhook_id=one.payload["webhook"]["id"],
            webhook_name=one.payload["webhook"]["name"],
            detail=one.payload.get("endpoint", {}).get("origin", ""),
        )
        for one in found
        # The event's payload may have been erased.
        if one.payload is not None
    ]


def _remembered(webhooks: Sequence[Webhook]) -> list[Change]:
    """Return what webhooks themselves know of their past."""
    found: list[Change] = []
    for webhook in webhooks:
        moments = {
            gettext("Webhook created"): webhook.created_at,
            gettext("Webhook activated"): webhook.activated_at,
            gettext("Webhook deactivated"): webhook.deactivated_at,
        }
        # If the last update was one of these, it is listed already.
        if webhook.updated_at not in (*moments.values(), *(one.disabled_at for one in webhook.endpoints)):
            moments[gettext("Webhook changed")] = webhook.updated_at
        named = {"webhook_id": webhook.id, "webhook_name": webhook.name}
        found += [Change(at=at, what=what, **named) for what, at in moments.items() if at is not None]
        found += [
            Change(at=one.disabled_at, what=gettext("Endpoint disabled"), detail=one.url, **named)
            for one in webhook.endpoints
            if one.disabled_at is not None
        ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_MOST_CHANGES]


def held_by(dispatcher: Dispatcher, worker_id: str) -> tuple[WorkerSeen | None, list[LeasedDelivery]]:
    """Return a worker, if it was seen in the last minute, and what it holds."""
    worker = next((one for one in dispatcher.stats().workers if one.id == worker_id), None)
    leased = dispatcher.settings.open_store.leased(_MOST_LEASES)
    return worker, [one for one in leased if one.holder == holder_of(worker_id)]
