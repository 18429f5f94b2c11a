"""Bound how often a tenant may make requests to endpoints: test events and replays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import define, field, frozen

# How many replays a recovery counts as: how many it makes is known only afterwards.
RECOVERY = 100
_MOST_TENANTS = 10_000


@frozen
class Rate:
    """Allow `burst` at once, refilled evenly over `seconds`."""

    burst: int
    seconds: float


@define
class _Bucket:
    left: float
    seen: float


@define
class Limiter:
    """Count by tenant in this process's memory: the tenant that was longest away is forgotten first."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def take(self, tenant: str, count: int = 1) -> float:
        """Take `count`; return 0.0, or the seconds to wait when there are too few left and none was taken.

        More than a full burst can be taken at once when the burst is whole:
        the tenant then waits until the debt is paid.
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
    """Hold the limits of one console, each per tenant and process."""

    tests: Limiter = field(factory=lambda: Limiter(Rate(30, 60)))
    replays: Limiter = field(factory=lambda: Limiter(Rate(1_000, 60)))
