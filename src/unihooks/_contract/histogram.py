"""Count durations in a histogram, and estimate percentiles from it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

# The upper bounds of the buckets in milliseconds, as the columns up_to_..._ms of a store's hours.
BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)
_BOUNDS_US = tuple(bound * 1_000 for bound in BOUNDS_MS)


def bucket(duration_us: int) -> int:
    """Return the number of the bucket that a duration falls into; the last one has no upper bound."""
    return bisect_left(_BOUNDS_US, duration_us)


def up_to(buckets: Sequence[int]) -> list[int]:
    """Return how many durations are within each bound, from how many are in each bucket."""
    return list(accumulate(buckets))[: len(BOUNDS_MS)]


def percentile(within: Sequence[int], total: int, share: float, longest_ms: float) -> float | None:
    """Estimate in milliseconds which duration the share (0 to 1) of `total` does not exceed; None without any.

    `within` says how many lie within each bound. Inside a bucket durations are
    taken to be spread evenly; those past the last bound, up to `longest_ms`.
    """
    if total <= 0:
        return None
    wanted = share * total
    below, lower = 0, 0.0
    for upper, count in zip((*BOUNDS_MS, max(longest_ms, BOUNDS_MS[-1])), (*within, total), strict=True):
        if count >= wanted and count > below:
            return lower + (upper - lower) * max(0.0, wanted - below) / (count - below)
        below, lower = max(below, count), float(upper)
    return lower
