"""Count and measure what the memory store keeps."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from operator import attrgetter

from unihooks._base.times import SECOND, from_us
from unihooks._contract.leasing import holder, with_leases
from unihooks._contract.statistics import FailingEndpoint, HourRow, SlowEndpoint, TenantStatistics, WebhookHealth
from unihooks._model.webhooks import Webhook
from unihooks.abc import QueueStatistics, Store, Window
from unihooks.stores._memory_listing import page
from unihooks.stores._memory_rows import Lane
from unihooks.stores._memory_tables import Tables
from unihooks.stores.sql import hours as _hours
from unihooks.stores.sql.rows import Row

_SEEN_WITHIN = 60 * SECOND
_MOST_DUE = 1_000


class MemoryFigures(Store):
    """Be the part of the memory store that counts."""

    _lock: threading.RLock
    _tables: Tables

    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        """Return the health of those of the webhooks that the tenant has."""
        with self._lock:
            now = self.now()
            found = [self._tables.webhooks[one] for one in dict.fromkeys(webhook_ids) if one in self._tables.webhooks]
            mine = [webhook for webhook in found if webhook.tenant == tenant]
            lanes = [(webhook.id, *self._lane(one.id, now)) for webhook in mine for one in webhook.endpoints]
            hours = [
                (webhook.id, *hour[:4]) for webhook in mine for hour in self._hours(webhook, _hours.first_hour(now))
            ]
            return _hours.to_healths(lanes, self._newest({webhook.id for webhook in mine}), hours, now)

    def _lane(self, endpoint_id: str, now: int) -> Row:
        lane = self._tables.lanes[endpoint_id]
        waiting = [row.due_at or 0 for row in lane.pending() if row.token is None or (row.due_at or 0) <= now]
        next_at = min(waiting, default=None) if lane.open else None
        health = (lane.failing_since, lane.failures, lane.last_success_at, lane.last_failure_at)
        return (endpoint_id, *health, next_at)

    def _newest(self, webhook_ids: set[str]) -> list[Row]:
        rows = sorted(self._tables.deliveries.values(), key=attrgetter("id"))
        newest = {row.webhook_id: row for row in rows if row.webhook_id in webhook_ids}
        return [(webhook_id, row.created_at, row.state) for webhook_id, row in newest.items()]

    def _hours(self, webhook: Webhook, since: int) -> list[Row]:
        mine = {endpoint.id for endpoint in webhook.endpoints}
        counted: dict[int, list[int]] = {}
        for (endpoint_id, hour), counts in sorted(self._tables.hours.items(), key=lambda item: item[0][1]):
            if endpoint_id in mine and hour >= since:
                counted[hour] = _added(counted.get(hour), counts)
        return [(hour, *counts) for hour, counts in counted.items()]

    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        """Return what was counted for the webhook's endpoints, hour by hour."""
        with self._lock:
            return [_hours.to_hour(row) for row in self._hours(self._tables.webhook(tenant, webhook_id), since)]

    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        """Return endpoints that fail, the longest failing first."""
        with self._lock:
            failing = [lane for lane in self._tables.lanes.values() if lane.failing_since is not None]
            chosen = sorted(failing, key=attrgetter("failing_since", "endpoint_id"))[:limit]
            rows = [(*self._named(lane), lane.failing_since, lane.failures) for lane in chosen]
        return [_hours.to_failing_endpoint(row) for row in rows]

    def _named(self, lane: Lane) -> Row:
        webhook = self._tables.webhooks[lane.webhook_id]
        url = next(one.url for one in webhook.endpoints if one.id == lane.endpoint_id)
        return (lane.tenant, lane.webhook_id, webhook.name, lane.endpoint_id, url)

    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        """Return endpoints by mean duration, the slowest first."""
        with self._lock:
            counted: dict[str, list[int]] = {}
            for (endpoint_id, hour), counts in self._tables.hours.items():
                if endpoint_id in self._tables.lanes and hour >= since:
                    counted[endpoint_id] = _added(counted.get(endpoint_id), counts)
            rows = [(*self._named(self._tables.lanes[one]), *counts) for one, counts in counted.items()]
        slow = [_hours.to_slow_endpoint(row) for row in rows]
        return sorted(slow, key=lambda one: (-one.mean_ms, one.endpoint_id))[:limit]

    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        """Return tenants with how many webhooks they have and how much is due, the last name first."""
        with self._lock:
            names = [tenant for tenant, config_version in self._tables.config_versions.items() if config_version]
            return [self._tenant(name, self.now()) for name in page(names, window, str)]

    def _tenant(self, tenant: str, now: int) -> TenantStatistics:
        webhooks = sum(one.tenant == tenant for one in self._tables.webhooks.values())
        lanes = [lane for lane in self._tables.open_lanes.values() if lane.tenant == tenant]
        due = sum((row.due_at or 0) <= now for lane in lanes for row in lane.pending())
        return TenantStatistics(tenant=tenant, webhooks=webhooks, due=min(due, _MOST_DUE))

    def statistics(self) -> QueueStatistics:
        """Return the state of the queue over all tenants."""
        with self._lock:
            now, lanes = self.now(), self._tables.lanes.values()
            pending = [(lane, row, row.due_at or 0) for lane in lanes for row in lane.pending()]
            holders = [holder(row.token) for _, row, due_at in pending if row.token is not None and due_at > now]
            return QueueStatistics(
                oldest_unplanned=self.oldest_unplanned(),
                due=sum(lane.open and due_at <= now for lane, _, due_at in pending),
                held=sum(not lane.open for lane, _, _ in pending),
                in_flight=len(holders),
                failing_endpoints=sum(lane.failing_since is not None for lane in lanes),
                workers=with_leases(
                    [one for one in self._tables.workers.values() if one.seen_at >= from_us(now - _SEEN_WITHIN)],
                    holders,
                ),
            )

    def oldest_unplanned(self) -> int | None:
        """Return when the oldest event that is not planned was made."""
        with self._lock:
            return min((waiting[0].new.created_at for waiting in self._tables.unplanned.values()), default=None)


def _added(one: Iterable[int] | None, other: Iterable[int]) -> list[int]:
    return list(other) if one is None else [a + b for a, b in zip(one, other, strict=True)]
