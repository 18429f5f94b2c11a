"""Show an operator the state of everything, over all tenants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from unihooks._figures import DAY_HOURS, HOUR, FailingEndpoint, SlowEndpoint, TenantFigures
from unihooks._models import Page
from unihooks._pages import paginate
from unihooks._times import optional_from_us
from unihooks.abc import Store, WorkerSeen

_MOST_FAILING = 100
_MOST_SLOW = 20


@frozen(kw_only=True)
class Stats:
    """Be the state of the queue over all tenants.

    `oldest_unplanned` is when the oldest event that no worker has planned yet
    was emitted, None if all are. The others are counts, and the workers seen
    within a minute.
    """

    oldest_unplanned: datetime | None
    due: int
    held: int
    in_flight: int
    failing_endpoints: int
    workers: Sequence[WorkerSeen]


@frozen(kw_only=True)
class Overview:
    """Be what an operator looks at first.

    `failing` are up to 100 endpoints, the longest failing first; `slowest` up
    to 20 by their mean in the last 24 hours.
    """

    stats: Stats
    failing: Sequence[FailingEndpoint]
    slowest: Sequence[SlowEndpoint]


def stats(store: Store) -> Stats:
    """Return the state of the queue."""
    figures = store.figures()
    return Stats(
        oldest_unplanned=optional_from_us(figures.oldest_unplanned),
        due=figures.due,
        held=figures.held,
        in_flight=figures.in_flight,
        failing_endpoints=figures.failing_endpoints,
        workers=figures.workers,
    )


def overview(store: Store) -> Overview:
    """Return the state of the queue, and the endpoints to look after."""
    return Overview(
        stats=stats(store),
        failing=store.failing_endpoints(_MOST_FAILING),
        slowest=store.slowest_endpoints(store.now() // HOUR - DAY_HOURS, _MOST_SLOW),
    )


def tenants(store: Store, *, limit: int, cursor: str | None) -> Page[TenantFigures]:
    """List tenants by name."""
    return paginate(store.list_tenants, lambda one: one.tenant, limit=limit, cursor=cursor, kind="tenant", rising=True)
