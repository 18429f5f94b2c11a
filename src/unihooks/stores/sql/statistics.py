"""Count and measure: health, activity, the operator's overview."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from attrs import evolve

from unihooks._base.times import optional_from_us
from unihooks._contract.activity import (
    DAY_HOURS,
    HOUR,
    SLICES,
    ActivityRows,
    EndpointRow,
    Failures,
    HourRow,
    StatusFailures,
    TypeFailures,
    bucket,
    hour_counts,
    percentile,
    slice_of,
    up_to,
)
from unihooks._contract.filters import Window
from unihooks._contract.leasing import SEEN_WITHIN_US, holder, holder_of
from unihooks._contract.statistics import FailingEndpoint, SlowEndpoint, Stats, TenantStatistics, WebhookHealth
from unihooks._model.checks import not_found
from unihooks._model.log import DeliveryState
from unihooks.abc import AttemptRow, Result, WorkerSeen
from unihooks.stores.sql.health import endpoint_health
from unihooks.stores.sql.log import ids_between
from unihooks.stores.sql.rows import by_owner, to_value
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Row, Transaction, page

_MOST_DUE = 1_000
# Durations beyond the last bound of the histogram are assumed to last up to this, the usual deadline.
_LONGEST_MS = 20_000


def hour_rows(sent: Iterable[tuple[Result, AttemptRow]], now: int, part: int) -> list[Row]:
    """Return what results add to each endpoint's counts of the hour, in the order of endpoint ids and buckets.

    `part` is the part in which this process counts. A row holds endpoint_id, hour, bucket, part, attempts, delivered,
    failed and duration_us.
    """
    durations: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    failed: Counter[tuple[str, int]] = Counter()
    for item, attempt in sent:
        key = item.claimed.endpoint_id, bucket(attempt.duration_us)
        durations[key].append(attempt.duration_us)
        if item.state is not DeliveryState.DELIVERED:
            failed[key] += 1
    hour, part = now // HOUR, part * SLICES + slice_of(now) + 1
    rows: list[Row] = []
    for (endpoint_id, index), these in sorted(durations.items()):
        lost = failed.get((endpoint_id, index), 0)
        rows.append((endpoint_id, hour, index, part, len(these), len(these) - lost, lost, sum(these)))
    return rows


def webhook_health(tx: Transaction, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
    """Return the health of those of the webhooks that the tenant has."""
    wanted, first_hour = set(webhook_ids), tx.now // HOUR - DAY_HOURS
    endpoints = endpoint_health(tx, tenant, wanted)
    newest = {id_: newest for id_, *newest in tx.fetch("newest_deliveries", webhooks=wanted, tenant=tenant)}
    hours = by_owner(tx.fetch("outcomes_by_hour", webhooks=wanted, tenant=tenant, since=first_hour))
    health = {}
    for webhook_id, of_webhook in endpoints.items():
        last_at, last_state = newest.get(webhook_id, (None, None))
        health[webhook_id] = WebhookHealth(
            endpoints=tuple(of_webhook),
            last_delivery_at=optional_from_us(last_at),
            last_delivery_state=last_state and DeliveryState(last_state),
            hours=hour_counts([HourRow(*hour) for hour in hours.get(webhook_id, ())], first_hour * HOUR, tx.now),
        )
    return health


def webhook_activity(tx: Transaction, tenant: str, webhook_id: str, since: int) -> ActivityRows:
    """Return the counts of the webhook's endpoints, by slices of time and by endpoint."""
    _check_webhook(tx, tenant, webhook_id)
    wanted: dict[str, Any] = {"webhook": webhook_id, "hour": since // HOUR, "slice": slice_of(since)}
    found = groupby(tx.fetch("activity_by_endpoint", **wanted), key=itemgetter(0))
    return ActivityRows(
        slices=[HourRow(*row) for row in tx.fetch("activity_by_slice", **wanted)],
        endpoints=[_to_endpoint(endpoint_id, list(rows)) for endpoint_id, rows in found],
    )


def webhook_failures(tx: Transaction, tenant: str, webhook_id: str, since: int, most: int) -> Failures:
    """Return the deliveries that failed or are to be retried, by status code and by event type."""
    share = max(1, most // _check_webhook(tx, tenant, webhook_id))
    first, _ = ids_between("dlv_", since, None)
    wanted: dict[str, Any] = {"webhook": webhook_id, "since": since}
    failed = tx.fetch("failed_deliveries_of_webhook", first_id=first, most=most + 1, **wanted)
    retried = tx.fetch("deliveries_to_retry", most=share, **wanted)
    rows = [*failed[:most], *retried]
    by_status, by_type = Counter(row[0] for row in rows), Counter((row[1], row[2]) for row in rows)
    return Failures(
        count=len(rows),
        ended=min(len(failed), most),
        more=len(failed) > most or share in Counter(row[3] for row in retried).values(),
        by_status=tuple(StatusFailures(status_code=code, count=many) for code, many in by_status.most_common()),
        by_type=tuple(TypeFailures(product=kind[0], event_type=kind[1], count=n) for kind, n in by_type.most_common()),
    )


def _check_webhook(tx: Transaction, tenant: str, webhook_id: str) -> int:
    """Return how many endpoints the webhook has, or raise NotFound."""
    [(count,)] = tx.fetch("count_endpoints_of_webhook", tenant=tenant, webhook=webhook_id)
    if not count:
        raise not_found("webhook", webhook_id, tenant)
    return int(count)


def failing_endpoints(tx: Transaction, limit: int) -> list[FailingEndpoint]:
    """Return failing endpoints, those that have failed longest first."""
    return [to_value(FailingEndpoint, row) for row in tx.fetch("failing_endpoints", limit=limit)]


def slowest_endpoints(tx: Transaction, since: int, limit: int) -> list[SlowEndpoint]:
    """Return endpoints by mean duration, the slowest first."""
    found = tx.fetch("slowest_endpoints", since=since, limit=limit)
    durations: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for endpoint_id, index, attempts in tx.fetch("durations", endpoints=[row[3] for row in found], since=since):
        durations[endpoint_id][index] = attempts
    return [_to_slow_endpoint(row, durations[row[3]]) for row in found]


def list_tenants(tx: Transaction, window: Window) -> list[TenantStatistics]:
    """Return tenants with how many webhooks they have and how much is due, the last name first."""
    selection = Selection(values={"now": tx.now, "most": _MOST_DUE})
    return [to_value(TenantStatistics, row) for row in page(tx, "tenants", selection, window, ["t.tenant"])]


def queue(tx: Transaction) -> Stats:
    """Count what is due, held and in flight, and the workers."""
    [(due, held, tokens)] = tx.fetch("queue_counts", now=tx.now)
    leases = Counter(holder(token) for token in json.loads(tokens))
    workers = [to_value(WorkerSeen, row) for row in tx.fetch("workers_seen", since=tx.now - SEEN_WITHIN_US)]
    [(failing,)] = tx.fetch("count_failing_endpoints")
    [(without_subject,)] = tx.fetch("count_without_subject")
    return Stats(
        oldest_unplanned=optional_from_us(oldest_unplanned(tx)),
        due=due,
        held=held,
        in_flight=leases.total(),
        failing_endpoints=failing,
        without_subject=without_subject,
        workers=[evolve(worker, leases=leases[holder_of(worker.id)]) for worker in workers],
    )


def oldest_unplanned(tx: Transaction) -> int | None:
    """Return when the oldest new event was made, looking at the first in each tenant's queue."""
    [(created_at,)] = tx.fetch("oldest_unplanned")
    return None if created_at is None else int(created_at)


def _to_endpoint(endpoint_id: str, rows: Sequence[Row]) -> EndpointRow:
    attempts, delivered, failed, duration_us = (sum(row[at] for row in rows) for at in range(2, 6))
    within = up_to({row[1]: row[2] for row in rows})
    return EndpointRow(endpoint_id, attempts, delivered, failed, duration_us, tuple(within))


def _to_slow_endpoint(row: Row, durations: Mapping[int, int]) -> SlowEndpoint:
    attempts, duration_us = row[5:]
    p95_ms = percentile(up_to(durations), attempts, 0.95, _LONGEST_MS) or 0.0
    return to_value(SlowEndpoint, (*row[:5], attempts, duration_us / attempts / 1000, p95_ms))
