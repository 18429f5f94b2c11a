"""Limit how often a tenant may cause requests to endpoints, by test events and replays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import define, field, frozen

# A recovery counts as this many replays, since its number of deliveries is only known afterwards.
RECOVERY = 100
_MOST_TENANTS = 10_000


@frozen
class Rate:
    """`burst` at once, refilled evenly over `seconds`."""

    burst: int
    seconds: float


@define
class _Bucket:
    left: float
    seen: float


@define
class Limiter:
    """Counts per tenant in this process's memory; the tenant that has been idle longest is forgotten first."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def take(self, tenant: str, count: int = 1) -> float:
        """Take `count` and return 0.0; if too few are left, take none and return the seconds to wait.

        From a full burst, more than the burst can be taken at once: the tenant
        then waits until the debt is paid.
        """
        with self._lock:
            bucket = self._refilled(tenant)
            wanted = min(count, self.rate.burst)
            if bucket.left < wanted:
                return (wanted - bucket.left) * self.rate.seconds / self.rate.burst
            bucket.left -= count
            return 0.0

    def _refilled(self, tenant: str) -> _Bucket:
        now = self.clock()
        bucket = self._buckets.pop(tenant, None) or _Bucket(self.rate.burst, now)
        gained = (now - bucket.seen) * self.rate.burst / self.rate.seconds
        bucket.left, bucket.seen = min(self.rate.burst, bucket.left + gained), now
        self._buckets[tenant] = bucket
        if len(self._buckets) > _MOST_TENANTS:
            del self._buckets[next(iter(self._buckets))]
        return bucket


@frozen(kw_only=True)
class Rates:
    """The limits of one console, each per tenant and process."""

    tests: Limiter = field(factory=lambda: Limiter(Rate(30, 60)))
    replays: Limiter = field(factory=lambda: Limiter(Rate(1_000, 60)))
