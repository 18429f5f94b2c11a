"""Count and measure what is kept: health, activity, what an operator looks at."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from unihooks._contract.filters import Window
from unihooks._contract.statistics import FailingEndpoint, HourRow, SlowEndpoint, TenantStatistics, WebhookHealth
from unihooks._model.checks import not_found
from unihooks.stores.sql import hours as _hours
from unihooks.stores.sqlite.statements import as_json

_MOST_DUE = 1_000

_MINE = """
WITH mine (id) AS (
    SELECT w.id FROM json_each(:webhooks) AS k
    CROSS JOIN main.unihooks_webhooks AS w ON w.id = k.value AND w.tenant = :tenant
)
"""
_LANES = f"""{_MINE}
SELECT e.webhook_id, e.id, l.failing_since, l.failures, l.last_success_at, l.last_failure_at,
    CASE WHEN l.open THEN (
        SELECT d.due_at FROM main.unihooks_deliveries AS d
        WHERE d.endpoint_id = e.id AND d.state = 'pending' AND (d.token IS NULL OR d.due_at <= :now)
        ORDER BY d.due_at LIMIT 1
    ) END
FROM mine CROSS JOIN main.unihooks_endpoints AS e ON e.webhook_id = mine.id
CROSS JOIN main.unihooks_lanes AS l ON l.endpoint_id = e.id
ORDER BY e.webhook_id, e.position
"""
_LAST = f"""{_MINE}
SELECT d.webhook_id, d.created_at, d.state FROM (
    SELECT mine.id AS webhook_id,
        (SELECT max(id) FROM main.unihooks_deliveries WHERE webhook_id = mine.id) AS id
    FROM mine
) AS newest
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = :tenant AND d.id = newest.id
"""
_HOURS = """{mine}
SELECT e.webhook_id, h.hour, {sums}
FROM mine CROSS JOIN main.unihooks_endpoints AS e ON e.webhook_id = mine.id
CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
GROUP BY e.webhook_id, h.hour ORDER BY e.webhook_id, h.hour
"""
_OUTCOMES = _HOURS.format(mine=_MINE, sums=_hours.OUTCOMES)
_COUNTS = _HOURS.format(mine=_MINE, sums=_hours.SUMS)
_FAILING = """
SELECT l.tenant, l.webhook_id, w.name, l.endpoint_id, e.url, l.failing_since, l.failures
FROM (
    SELECT * FROM main.unihooks_lanes WHERE failing_since IS NOT NULL ORDER BY failing_since, endpoint_id LIMIT ?
) AS l
CROSS JOIN main.unihooks_endpoints AS e ON e.id = l.endpoint_id
CROSS JOIN main.unihooks_webhooks AS w ON w.id = l.webhook_id
ORDER BY l.failing_since, l.endpoint_id
"""
_SLOWEST = f"""
WITH slow (id) AS (
    SELECT l.endpoint_id FROM main.unihooks_lanes AS l
    CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = l.endpoint_id AND h.hour >= :since
    GROUP BY l.endpoint_id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, l.endpoint_id LIMIT :limit
)
SELECT e.tenant, e.webhook_id, w.name, e.id, e.url, {_hours.SUMS}
FROM slow CROSS JOIN main.unihooks_endpoints AS e ON e.id = slow.id
CROSS JOIN main.unihooks_webhooks AS w ON w.id = e.webhook_id
CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
GROUP BY e.id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, e.id
"""
_TENANTS = """
SELECT t.tenant, (SELECT count(*) FROM main.unihooks_webhooks AS w WHERE w.tenant = t.tenant), (
    SELECT count(*) FROM (
        SELECT 1 FROM main.unihooks_lanes AS l INDEXED BY unihooks_lanes_due_by_tenant
        CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
            ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= :now
        WHERE l.tenant = t.tenant AND l.open = 1 AND l.next_due_at IS NOT NULL AND l.next_due_at <= :now
        LIMIT :most
    )
)
FROM main.unihooks_tenants AS t
"""


def webhook_health(
    connection: sqlite3.Connection, tenant: str, webhook_ids: Collection[str], now: int
) -> dict[str, WebhookHealth]:
    """Return the health of those of the webhooks that the tenant has."""
    parameters = {
        "webhooks": as_json(list(dict.fromkeys(webhook_ids))),
        "tenant": tenant,
        "now": now,
        "since": _hours.first_hour(now),
    }
    lanes, last, hours = (connection.execute(statement, parameters) for statement in (_LANES, _LAST, _OUTCOMES))
    return _hours.to_healths(lanes, last, hours, now)


def webhook_hours(connection: sqlite3.Connection, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
    """Return what was counted for the webhook's endpoints, hour by hour."""
    known = "SELECT 1 FROM main.unihooks_webhooks WHERE id = ? AND tenant = ?"
    if connection.execute(known, (webhook_id, tenant)).fetchone() is None:
        raise not_found("webhook", webhook_id, tenant)
    rows = connection.execute(_COUNTS, {"webhooks": as_json([webhook_id]), "tenant": tenant, "since": since})
    return [_hours.to_hour(row[1:]) for row in rows]


def failing_endpoints(connection: sqlite3.Connection, limit: int) -> list[FailingEndpoint]:
    """Return endpoints that fail, the longest failing first."""
    return [_hours.to_failing_endpoint(row) for row in connection.execute(_FAILING, (limit,))]


def slowest_endpoints(connection: sqlite3.Connection, since: int, limit: int) -> list[SlowEndpoint]:
    """Return endpoints by mean duration, the slowest first."""
    rows = connection.execute(_SLOWEST, {"since": since, "limit": limit})
    return [_hours.to_slow_endpoint(row) for row in rows]


def list_tenants(connection: sqlite3.Connection, window: Window, now: int) -> list[TenantStatistics]:
    """Return tenants with how many webhooks they have and how much is due, the last name first."""
    rising = window.newer_than is not None
    edge = window.newer_than if rising else window.older_than
    beyond = "" if edge is None else f"WHERE t.tenant {'>' if rising else '<'} :edge"
    statement = f"{_TENANTS} {beyond} ORDER BY t.tenant {'ASC' if rising else 'DESC'} LIMIT :limit"
    parameters = {"edge": edge, "limit": window.limit, "now": now, "most": _MOST_DUE}
    rows = connection.execute(statement, parameters).fetchall()
    found = [TenantStatistics(tenant=row[0], webhooks=row[1], due=row[2]) for row in rows]
    return found[::-1] if rising else found
