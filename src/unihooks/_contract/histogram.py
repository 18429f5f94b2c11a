"""Count durations in a histogram, and estimate percentiles from it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

# The upper bounds of the buckets in milliseconds; the stores' columns up_to_..._ms are named after them.
BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)
_BOUNDS_US = tuple(bound * 1_000 for bound in BOUNDS_MS)


def bucket(duration_us: int) -> int:
    """Return the index of the bucket that a duration falls into; the last bucket has no upper bound."""
    return bisect_left(_BOUNDS_US, duration_us)


def up_to(buckets: Sequence[int]) -> list[int]:
    """Return how many durations are within each bound, given how many are in each bucket."""
    return list(accumulate(buckets))[: len(BOUNDS_MS)]


def percentile(within: Sequence[int], total: int, share: float, longest_ms: float) -> float | None:
    """Estimate a percentile in milliseconds, such as the p95 for the share 0.95; None if `total` is 0.

    `within` says how many durations are within each bound. The estimate takes
    those of a bucket as evenly spread, and those past the last bound as evenly
    spread up to `longest_ms`.
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
