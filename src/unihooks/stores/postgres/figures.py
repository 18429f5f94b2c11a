"""Count and measure what is kept: health, activity, what an operator looks at."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from unihooks._contract.filters import Window
from unihooks._contract.statistics import FailingEndpoint, HourRow, SlowEndpoint, TenantStatistics, WebhookHealth
from unihooks._model.checks import not_found
from unihooks.stores.postgres.statements import Statements
from unihooks.stores.sql import hours as _hours

_MOST_DUE = 1_000

_MINE = """
WITH mine (id) AS (SELECT id FROM unihooks.webhooks WHERE id = ANY(%(webhooks)s) AND tenant = %(tenant)s)
"""
_LANES = f"""{_MINE}
SELECT e.webhook_id, e.id, l.failing_since, l.failures, l.last_success_at, l.last_failure_at,
    CASE WHEN l.open THEN (
        SELECT d.due_at FROM unihooks.deliveries AS d
        WHERE d.endpoint_id = e.id AND d.state = 'pending' AND (d.token IS NULL OR d.due_at <= %(now)s)
        ORDER BY d.due_at LIMIT 1
    ) END
FROM mine JOIN unihooks.endpoints AS e ON e.webhook_id = mine.id
JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
ORDER BY e.webhook_id, e.position
"""
_LAST = f"""{_MINE}
SELECT d.webhook_id, d.created_at, d.state FROM (
    SELECT mine.id AS webhook_id,
        (SELECT max(id) FROM unihooks.deliveries WHERE webhook_id = mine.id) AS id
    FROM mine
) AS newest
JOIN unihooks.deliveries AS d ON d.tenant = %(tenant)s AND d.id = newest.id
"""
_HOURS = """{mine}
SELECT e.webhook_id, h.hour, {sums}
FROM mine JOIN unihooks.endpoints AS e ON e.webhook_id = mine.id
JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= %(since)s
GROUP BY e.webhook_id, h.hour ORDER BY e.webhook_id, h.hour
"""
_OUTCOMES = _HOURS.format(mine=_MINE, sums=_hours.OUTCOMES)
_COUNTS = _HOURS.format(mine=_MINE, sums=_hours.SUMS)
_FAILING = """
SELECT l.tenant, l.webhook_id, w.name, l.endpoint_id, e.url, l.failing_since, l.failures
FROM (
    SELECT * FROM unihooks.lanes WHERE failing_since IS NOT NULL ORDER BY failing_since, endpoint_id
    LIMIT %(limit)s
) AS l
JOIN unihooks.endpoints AS e ON e.id = l.endpoint_id
JOIN unihooks.webhooks AS w ON w.id = l.webhook_id
ORDER BY l.failing_since, l.endpoint_id
"""
_SLOWEST = f"""
WITH slow (id) AS (
    SELECT l.endpoint_id FROM unihooks.lanes AS l
    JOIN unihooks.hours AS h ON h.endpoint_id = l.endpoint_id AND h.hour >= %(since)s
    GROUP BY l.endpoint_id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, l.endpoint_id LIMIT %(limit)s
)
SELECT e.tenant, e.webhook_id, w.name, e.id, e.url, {_hours.SUMS}
FROM slow JOIN unihooks.endpoints AS e ON e.id = slow.id
JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= %(since)s
GROUP BY e.id, w.name ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, e.id
"""
_TENANTS = """
SELECT t.tenant, (SELECT count(*) FROM unihooks.webhooks AS w WHERE w.tenant = t.tenant), (
    SELECT count(*) FROM (
        SELECT 1 FROM unihooks.lanes AS l
        JOIN unihooks.deliveries AS d
            ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= %(now)s
        WHERE l.tenant = t.tenant AND l.open AND l.next_due_at IS NOT NULL AND l.next_due_at <= %(now)s
        LIMIT %(most)s
    ) AS due
)
FROM unihooks.tenants AS t
"""


def webhook_health(it: Statements, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
    """Return the health of those of the webhooks that the tenant has."""
    mine: dict[str, Any] = {"webhooks": list(webhook_ids), "tenant": tenant}
    lanes = it.fetch(_LANES, **mine, now=it.now)
    hours = it.fetch(_OUTCOMES, **mine, since=_hours.first_hour(it.now))
    return _hours.to_healths(lanes, it.fetch(_LAST, **mine), hours, it.now)


def webhook_hours(it: Statements, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
    """Return what was counted for the webhook's endpoints, hour by hour."""
    known = "SELECT 1 FROM unihooks.webhooks WHERE id = %(id)s AND tenant = %(tenant)s"
    if not it.fetch(known, id=webhook_id, tenant=tenant):
        raise not_found("webhook", webhook_id, tenant)
    return [_hours.to_hour(row[1:]) for row in it.fetch(_COUNTS, webhooks=[webhook_id], tenant=tenant, since=since)]


def failing_endpoints(it: Statements, limit: int) -> list[FailingEndpoint]:
    """Return endpoints that fail, the longest failing first."""
    return [_hours.to_failing_endpoint(row) for row in it.fetch(_FAILING, limit=limit)]


def slowest_endpoints(it: Statements, since: int, limit: int) -> list[SlowEndpoint]:
    """Return endpoints by mean duration, the slowest first."""
    return [_hours.to_slow_endpoint(row) for row in it.fetch(_SLOWEST, since=since, limit=limit)]


def list_tenants(it: Statements, window: Window) -> list[TenantStatistics]:
    """Return tenants with how many webhooks they have and how much is due, the last name first."""
    rising = window.newer_than is not None
    edge = window.newer_than if rising else window.older_than
    beyond = "" if edge is None else f"WHERE t.tenant {'>' if rising else '<'} %(edge)s"
    statement = f"{_TENANTS} {beyond} ORDER BY t.tenant {'ASC' if rising else 'DESC'} LIMIT %(limit)s"
    given: dict[str, Any] = {} if edge is None else {"edge": edge}
    rows = it.fetch(statement, limit=window.limit, now=it.now, most=_MOST_DUE, **given)
    found = [TenantStatistics(tenant=row[0], webhooks=row[1], due=row[2]) for row in rows]
    return found[::-1] if rising else found
