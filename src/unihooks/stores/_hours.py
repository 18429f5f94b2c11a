"""Count attempts per endpoint and hour, alike for every store."""

from __future__ import annotations

from collections.abc import Iterable

from unihooks._durations import BOUNDS_MS, bucket, up_to
from unihooks._models import DeliveryState
from unihooks._times import SECOND
from unihooks.abc import Result
from unihooks.stores._rows import Row

HOUR = 3600 * SECOND

COUNTS = ("attempts", "delivered", "failed", "duration_us", *(f"up_to_{bound}_ms" for bound in BOUNDS_MS))
COLUMNS = ", ".join(("endpoint_id", "hour", *COUNTS))


def hour_rows(results: Iterable[Result], now: int) -> list[Row]:
    """Return COLUMNS of what the results add, in the order of endpoint ids."""
    counts: dict[str, list[int]] = {}
    for item in results:
        duration = item.attempt.duration_us
        delivered = item.state is DeliveryState.DELIVERED
        count = counts.get(item.claimed.endpoint_id)
        if count is None:
            count = counts[item.claimed.endpoint_id] = [0] * (len(COUNTS) + 1)
        count[0] += 1
        count[1 if delivered else 2] += 1
        count[3] += duration
        count[4 + bucket(duration)] += 1
    return [(one, now // HOUR, *counts[one][:4], *up_to(counts[one][4:])) for one in sorted(counts)]
