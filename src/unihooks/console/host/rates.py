"""Limit how often a tenant may cause requests to endpoints, by test events and replays."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from math import inf

from attrs import define, field, frozen

from unihooks._management.log import BulkResult
from unihooks._model.checks import is_number, is_whole

# The most endpoints that one test is sent to.
MOST_TESTED = 25
_SLICE = 1_000
_MOST_TENANTS = 10_000


@frozen
class Rate:
    """`burst` at once, refilled evenly over `seconds`."""

    burst: int = field()
    seconds: float = field()

    @burst.validator
    def _check_burst(self, _attribute: object, value: object) -> None:
        if not is_whole(value) or value < 1:
            raise ValueError("burst must be a whole number from 1, such as 30")

    @seconds.validator
    def _check_seconds(self, _attribute: object, value: object) -> None:
        if not is_number(value) or not 0 < value < inf:
            raise ValueError("seconds must be a number above 0, such as 60")


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

    def take_some(self, tenant: str, most: int) -> int:
        """Take up to `most`, as many as are left, and return how many."""
        with self._lock:
            bucket = self._refilled(tenant)
            count = max(0, min(most, int(bucket.left)))
            bucket.left -= count
            return count

    def wait(self, tenant: str) -> float:
        """Return the seconds until one more can be taken."""
        with self._lock:
            return max(0.0, 1 - self._refilled(tenant).left) * self.rate.seconds / self.rate.burst

    def give_back(self, tenant: str, count: int) -> None:
        """Give back unused capacity."""
        with self._lock:
            self._refilled(tenant).left += count

    def _refilled(self, tenant: str) -> _Bucket:
        now = self.clock()
        bucket = self._buckets.pop(tenant, None) or _Bucket(self.rate.burst, now)
        gained = (now - bucket.seen) * self.rate.burst / self.rate.seconds
        bucket.left, bucket.seen = min(self.rate.burst, bucket.left + gained), now
        self._buckets[tenant] = bucket
        if len(self._buckets) > _MOST_TENANTS:
            del self._buckets[next(iter(self._buckets))]
        return bucket


async def in_slices(
    limiter: Limiter, tenant: str, verb: Callable[..., Awaitable[BulkResult]], most: int
) -> tuple[BulkResult, float]:
    """Repeat a verb that makes deliveries, as far as the limiter allows and up to `most`, and charge each delivery.

    Return what was made, and the seconds to wait before more can be made. A call that makes nothing is charged as one.
    """
    made = 0
    while allowed := limiter.take_some(tenant, min(most - made, _SLICE)):
        done = await verb(tenant=tenant, most=allowed)
        made += done.made
        limiter.give_back(tenant, allowed - (done.made or int(not made)))
        if not done.more or made == most:
            return BulkResult(made=made, more=done.more), 0.0
    return BulkResult(made=made, more=True), limiter.wait(tenant)


@frozen(kw_only=True)
class Rates:
    """The limits of one console, each per tenant and process; `drafts` per viewer, `received` per test receiver."""

    tests: Limiter = field(factory=lambda: Limiter(Rate(30, 60)))
    checks: Limiter = field(factory=lambda: Limiter(Rate(20, 60)))
    replays: Limiter = field(factory=lambda: Limiter(Rate(1_000, 60)))
    drafts: Limiter = field(factory=lambda: Limiter(Rate(120, 60)))
    received: Limiter = field(factory=lambda: Limiter(Rate(60, 60)))
