"""Count attempts per endpoint and hour, and turn such rows into health, alike for every store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from unihooks._base.times import from_us, optional_from_us
from unihooks._contract.histogram import BOUNDS_MS, bucket, percentile, up_to
from unihooks._contract.statistics import (
    DAY_HOURS,
    HOUR,
    EndpointHealth,
    FailingEndpoint,
    HourRow,
    SlowEndpoint,
    WebhookHealth,
    hour_counts,
)
from unihooks._model.log import DeliveryState
from unihooks.abc import Result
from unihooks.stores.sql.rows import Row

COUNTS = ("attempts", "delivered", "failed", "duration_us", *(f"up_to_{bound}_ms" for bound in BOUNDS_MS))
COLUMNS = ", ".join(("endpoint_id", "hour", *COUNTS))
SUMS = ", ".join(f"CAST(sum(h.{name}) AS bigint)" for name in COUNTS)
OUTCOMES = ", ".join(f"CAST(sum(h.{name}) AS bigint)" for name in COUNTS[:3])

# What exceeds the last bound of the histogram is taken to last up to this, the usual deadline.
_LONGEST_MS = 20_000


def hour_rows(results: Iterable[Result], now: int) -> list[Row]:
    """Return COLUMNS of what the results add, in the order of endpoint ids."""
    counts: dict[str, list[int]] = {}
    for item in results:
        duration = item.sent.duration_us
        delivered = item.state is DeliveryState.DELIVERED
        count = counts.get(item.claimed.endpoint_id)
        if count is None:
            count = counts[item.claimed.endpoint_id] = [0] * (len(COUNTS) + 1)
        count[0] += 1
        count[1 if delivered else 2] += 1
        count[3] += duration
        count[4 + bucket(duration)] += 1
    return [(one, now // HOUR, *counts[one][:4], *up_to(counts[one][4:])) for one in sorted(counts)]


def to_hour(row: Sequence[Any]) -> HourRow:
    """Return what was counted from (hour, *COUNTS)."""
    hour, attempts, delivered, failed, duration_us, *within = row
    return HourRow(hour, attempts, delivered, failed, duration_us, tuple(within))


def to_slow_endpoint(row: Sequence[Any]) -> SlowEndpoint:
    """Return an endpoint from (tenant, webhook id, name, endpoint id, url, *COUNTS)."""
    tenant, webhook_id, webhook_name, endpoint_id, url, *counts = row
    counted = to_hour((0, *counts))
    return SlowEndpoint(
        tenant=tenant,
        webhook_id=webhook_id,
        webhook_name=webhook_name,
        endpoint_id=endpoint_id,
        url=url,
        attempts=counted.attempts,
        mean_ms=counted.duration_us / counted.attempts / 1000,
        p95_ms=percentile(counted.within, counted.attempts, 0.95, _LONGEST_MS) or 0.0,
    )


def to_failing_endpoint(row: Sequence[Any]) -> FailingEndpoint:
    """Return an endpoint from (tenant, webhook id, name, endpoint id, url, failing_since, failures)."""
    return FailingEndpoint(
        tenant=row[0],
        webhook_id=row[1],
        webhook_name=row[2],
        endpoint_id=row[3],
        url=row[4],
        failing_since=from_us(row[5]),
        failures=row[6],
    )


def first_hour(now: int) -> int:
    """Return the hour, since 1970, in which the time 24 hours ago lies."""
    return now // HOUR - DAY_HOURS


def to_healths(
    lanes: Iterable[Sequence[Any]], last: Iterable[Sequence[Any]], hours: Iterable[Sequence[Any]], now: int
) -> dict[str, WebhookHealth]:
    """Return webhooks' health.

    Rows of lanes hold webhook id, endpoint id, failing_since, failures,
    last_success_at, last_failure_at and when it is due next, in the order of
    endpoints; those of last deliveries webhook id, created_at and state; those
    of hours webhook id, hour, attempts, delivered and failed.
    """
    endpoints: dict[str, list[EndpointHealth]] = {}
    for webhook_id, *lane in lanes:
        endpoints.setdefault(webhook_id, []).append(_to_endpoint_health(lane))
    newest = {webhook_id: (from_us(at), DeliveryState(state)) for webhook_id, at, state in last}
    counted: dict[str, list[HourRow]] = {}
    for webhook_id, *hour in hours:
        counted.setdefault(webhook_id, []).append(HourRow(*hour))
    return {
        webhook_id: WebhookHealth(
            endpoints=tuple(of_it),
            last_delivery_at=newest[webhook_id][0] if webhook_id in newest else None,
            last_delivery_state=newest[webhook_id][1] if webhook_id in newest else None,
            hours=hour_counts(counted.get(webhook_id, ()), first_hour(now) * HOUR, now),
        )
        for webhook_id, of_it in endpoints.items()
    }


def _to_endpoint_health(row: Sequence[Any]) -> EndpointHealth:
    endpoint_id, failing_since, failures, last_success_at, last_failure_at, next_at = row
    return EndpointHealth(
        endpoint_id=endpoint_id,
        failing_since=optional_from_us(failing_since),
        failures=failures,
        last_success_at=optional_from_us(last_success_at),
        last_failure_at=optional_from_us(last_failure_at),
        next_attempt_at=optional_from_us(next_at),
    )
