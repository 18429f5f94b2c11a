"""The operator's overview of all tenants."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from unihooks._base.times import SECOND
from unihooks._contract.activity import DAY_HOURS, HOUR
from unihooks._contract.operating import Trends
from unihooks._contract.statistics import FailingEndpoint, SlowEndpoint, Stats
from unihooks.abc import Store

_MOST_FAILING = 100
_MOST_SLOW = 20
_MOST_TENANTS = 10
_LOOK_EVERY_US = 60 * SECOND


@frozen(kw_only=True)
class Overview:
    """An operator's overview of all tenants.

    `failing` has up to 100 endpoints, those that have failed longest first; `slowest` has up to 20, by their mean
    duration in the last 24 hours. `trends` are those of the last 24 hours. Both are at most a minute old.
    """

    stats: Stats
    failing: Sequence[FailingEndpoint]
    slowest: Sequence[SlowEndpoint]
    trends: Trends = field(factory=Trends)


class Watch:
    """The operator's view; sums over many hours are read at most once a minute."""

    def __init__(self) -> None:
        self._slowest: Sequence[SlowEndpoint] = ()
        self._trends = Trends()
        self._looked_at: int | None = None

    def overview(self, store: Store) -> Overview:
        """Return the state of the queue, and the endpoints to look after."""
        self._look(store)
        failing = store.failing_endpoints(_MOST_FAILING)
        return Overview(stats=store.statistics(), failing=failing, slowest=self._slowest, trends=self._trends)

    def _look(self, store: Store) -> None:
        now = store.now()
        is_due = self._looked_at is None or not 0 <= now - self._looked_at < _LOOK_EVERY_US
        # What is empty is quickly read, and somebody waits for the first figures.
        if is_due or not any(one.attempts for one in self._trends.hours):
            self._trends = store.trends(_MOST_TENANTS)
        if is_due:
            self._slowest = store.slowest_endpoints(now // HOUR - DAY_HOURS, _MOST_SLOW)
            self._looked_at = now
