"""How durations are counted: in buckets, from which percentiles are estimated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import sqrt

# The upper bounds of the buckets in milliseconds, from 1 ms to 65 s. Each is 1.41 times the one before, so that the
# geometric middle of a bucket is off by a factor of 1.19 at most. Stores keep the numbers of buckets.
BOUNDS_MS = tuple(round(2 ** (step / 2), 3) for step in range(33))
_BOUNDS_US = tuple(round(bound * 1_000) for bound in BOUNDS_MS)


def bucket(duration_us: int) -> int:
    """Return the index of the bucket that a duration falls into; the last bucket has no upper bound."""
    return bisect_left(_BOUNDS_US, duration_us)


def up_to(buckets: Mapping[int, int]) -> list[int]:
    """Return how many durations are within each bound, given how many are in each bucket."""
    return list(accumulate(buckets.get(index, 0) for index in range(len(BOUNDS_MS))))


def percentile(within: Sequence[int], total: int, share: float, longest_ms: float) -> float | None:
    """Estimate a percentile in milliseconds, such as the p95 for the share 0.95; None if `total` is 0.

    `within` says how many durations are within each bound. The estimate is the geometric middle of the bucket, which
    for those past the last bound reaches up to `longest_ms`.
    """
    if total <= 0:
        return None
    # The first bucket has no lower bound, and is taken to be as wide as the others.
    edges = (BOUNDS_MS[0] / BOUNDS_MS[1], *BOUNDS_MS, max(longest_ms, BOUNDS_MS[-1]))
    index = bisect_left(within, max(share * total, 1))
    return sqrt(edges[index] * edges[index + 1])
