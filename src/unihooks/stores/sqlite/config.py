"""Keep webhooks in SQLite: their rows, the tenant's config_version, and the lane of each endpoint."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection

from unihooks._contract.filters import split_position
from unihooks._message.secrets import Secret
from unihooks._model.checks import not_found
from unihooks._model.webhooks import Webhook
from unihooks.abc import ENDPOINT_REMOVED, WEBHOOK_DELETED, Destination, WebhookFilter, Window
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.refusals import too_many_webhooks
from unihooks.stores.sqlite.statements import as_json, with_values

_RAISE_CONFIG_VERSION = """
INSERT INTO main.unihooks_tenants (tenant, config_version) VALUES (?, 1)
ON CONFLICT (tenant) DO UPDATE SET config_version = config_version + 1
"""
_CANCEL = """
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason, finished_at = :now
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND state = 'pending'
"""
_REMEMBER_URLS = """
INSERT OR REPLACE INTO main.unihooks_former_endpoints (id, url, removed_at)
SELECT id, url, :now FROM main.unihooks_endpoints WHERE id IN (SELECT value FROM json_each(:endpoints))
"""
_ADD_LANE = """
INSERT INTO main.unihooks_lanes (endpoint_id, tenant, webhook_id, open, closed_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (endpoint_id) DO NOTHING
"""
_CLOSE_LANE = "UPDATE main.unihooks_lanes SET open = 0, closed_at = :now WHERE endpoint_id = :endpoint AND open = 1"
# Time held counts neither for retry limits nor for the time an endpoint has been failing.
_OPEN_LANE = """
UPDATE main.unihooks_lanes
SET open = 1, closed_at = NULL, held_total_us = held_total_us + :now - closed_at,
    failing_since = failing_since + :now - closed_at
WHERE endpoint_id = :endpoint AND open = 0
"""
_FRESH_HEALTH = "UPDATE main.unihooks_lanes SET failing_since = NULL, failures = 0 WHERE endpoint_id = ?"
_DISABLE = """
UPDATE main.unihooks_endpoints SET state = 'disabled', disabled_reason = :reason, disabled_at = :now
WHERE id = :endpoint AND state = 'enabled' RETURNING tenant, webhook_id
"""
_DESTINATIONS = """
SELECT e.id, e.webhook_id, e.tenant, e.url, w.headers, coalesce(l.open, 0), coalesce(t.config_version, 0)
FROM main.unihooks_endpoints AS e
JOIN main.unihooks_webhooks AS w ON w.id = e.webhook_id
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = e.id
LEFT JOIN main.unihooks_tenants AS t ON t.tenant = e.tenant
WHERE e.id IN (SELECT value FROM json_each(?))
"""

_FAILS = "SELECT webhook_id FROM main.unihooks_lanes WHERE tenant = :tenant AND failing_since IS NOT NULL"
_FAILING = {None: "", True: f"AND id IN ({_FAILS})", False: f"AND id NOT IN ({_FAILS})"}


def add_webhook(connection: sqlite3.Connection, webhook: Webhook, at_most: int, now: int) -> None:
    """Store a new webhook with its lanes."""
    count = connection.execute("SELECT count(*) FROM main.unihooks_webhooks WHERE tenant = ?", (webhook.tenant,))
    if count.fetchone()[0] >= at_most:
        raise too_many_webhooks(at_most)
    _insert(connection, webhook)
    for endpoint in webhook.endpoints:
        _add_lane(connection, webhook, endpoint.id, is_open=webhook.active and endpoint.enabled, now=now)
    _raise_config_version(connection, webhook.tenant)


def get_webhook(connection: sqlite3.Connection, tenant: str, webhook_id: str) -> Webhook:
    """Return the webhook or raise NotFound."""
    statement = f"SELECT {_rows.WEBHOOK_COLUMNS} FROM main.unihooks_webhooks WHERE tenant = ? AND id = ?"
    row = connection.execute(statement, (tenant, webhook_id)).fetchone()
    if row is None:
        raise not_found("webhook", webhook_id, tenant)
    return _complete(connection, row)


def list_webhooks(connection: sqlite3.Connection, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
    """Return webhooks, newest or last name first."""
    rising = window.newer_than is not None
    edge = window.newer_than if rising else window.older_than
    name, id_ = split_position(edge or "") if window.by_name else (None, edge)
    order = "DESC" if not rising else "ASC"
    statement = f"""
    SELECT {_rows.WEBHOOK_COLUMNS} FROM main.unihooks_webhooks
    WHERE tenant = :tenant AND (:status IS NULL OR status = :status)
      {_beyond(window, edge)}
      {_FAILING[filters.failing]}
      AND (:search IS NULL OR instr(search_text, :search))
    ORDER BY {f"name_key {order}, " if window.by_name else ""}id {order} LIMIT :limit
    """
    parameters = {
        "tenant": tenant,
        "status": filters.status and filters.status.value,
        "search": filters.search.casefold() if filters.search else None,
        "name": name,
        "id": id_,
        "limit": window.limit,
    }
    rows = connection.execute(statement, parameters).fetchall()
    return [_complete(connection, row) for row in (reversed(rows) if rising else rows)]


def _beyond(window: Window, edge: str | None) -> str:
    if edge is None:
        return ""
    sign = "<" if window.newer_than is None else ">"
    return f"AND (name_key, id) {sign} (:name, :id)" if window.by_name else f"AND id {sign} :id"


def revise_webhook(
    connection: sqlite3.Connection, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook], now: int
) -> Webhook:
    """Replace the webhook's rows and fit its lanes to them."""
    old = get_webhook(connection, tenant, webhook_id)
    new = revise(old)
    kept = {endpoint.id for endpoint in new.endpoints}
    _remove_endpoints(connection, [item.id for item in old.endpoints if item.id not in kept], ENDPOINT_REMOVED, now)
    _delete_rows(connection, webhook_id)
    _insert(connection, new)
    _fit_lanes(connection, old, new, now)
    _raise_config_version(connection, tenant)
    return new


def delete_webhook(connection: sqlite3.Connection, tenant: str, webhook_id: str, now: int) -> None:
    """Remove the webhook's rows and lanes; cancel what is pending."""
    old = get_webhook(connection, tenant, webhook_id)
    _remove_endpoints(connection, [item.id for item in old.endpoints], WEBHOOK_DELETED, now)
    _delete_rows(connection, webhook_id)
    _raise_config_version(connection, tenant)


def disable_endpoint(connection: sqlite3.Connection, endpoint_id: str, reason: str, now: int) -> tuple[str, str] | None:
    """Disable an enabled endpoint and hold its deliveries; return its tenant and webhook id if it was one."""
    parameters = {"endpoint": endpoint_id, "reason": reason, "now": now}
    rows = connection.execute(_DISABLE, parameters).fetchall()
    if not rows:
        return None
    tenant, webhook_id = rows[0]
    connection.execute(_CLOSE_LANE, {"endpoint": endpoint_id, "now": now})
    connection.execute("UPDATE main.unihooks_webhooks SET version = version + 1 WHERE id = ?", (webhook_id,))
    _raise_config_version(connection, tenant)
    return tenant, webhook_id


def destinations(connection: sqlite3.Connection, endpoint_ids: Collection[str]) -> dict[str, Destination]:
    """Return the current destination of each endpoint that exists."""
    rows = connection.execute(_DESTINATIONS, (as_json(list(endpoint_ids)),)).fetchall()
    secrets = {webhook_id: _secrets(connection, webhook_id) for webhook_id in {row[1] for row in rows}}
    return {row[0]: _rows.to_destination(row, secrets[row[1]]) for row in rows}


def config_versions(connection: sqlite3.Connection, tenants: Collection[str]) -> dict[str, int]:
    """Return each tenant's config_version; 0 for an unknown one."""
    statement = (
        "SELECT tenant, config_version FROM main.unihooks_tenants WHERE tenant IN (SELECT value FROM json_each(?))"
    )
    return dict.fromkeys(tenants, 0) | dict(connection.execute(statement, (as_json(list(tenants)),)).fetchall())


def _raise_config_version(connection: sqlite3.Connection, tenant: str) -> None:
    connection.execute(_RAISE_CONFIG_VERSION, (tenant,))


def _insert(connection: sqlite3.Connection, webhook: Webhook) -> None:
    for table, columns, rows in (
        (
            "webhooks",
            f"{_rows.WEBHOOK_COLUMNS}, search_text",
            [(*_rows.webhook_row(webhook), _rows.search_text(webhook))],
        ),
        ("endpoints", _rows.ENDPOINT_COLUMNS, _rows.endpoint_rows(webhook)),
        ("secrets", _rows.SECRET_COLUMNS, _rows.secret_rows(webhook)),
        ("subscriptions", _rows.SUBSCRIPTION_COLUMNS, _rows.subscription_rows(webhook)),
    ):
        with_values(connection, f"INSERT INTO main.unihooks_{table} ({columns})", rows)


def _delete_rows(connection: sqlite3.Connection, webhook_id: str) -> None:
    connection.execute("DELETE FROM main.unihooks_webhooks WHERE id = ?", (webhook_id,))
    for table in ("endpoints", "secrets", "subscriptions"):
        connection.execute(f"DELETE FROM main.unihooks_{table} WHERE webhook_id = ?", (webhook_id,))


def _remove_endpoints(connection: sqlite3.Connection, endpoint_ids: list[str], reason: str, now: int) -> None:
    parameters = {"endpoints": as_json(endpoint_ids), "reason": reason, "now": now}
    connection.execute(_CANCEL, parameters)
    connection.execute(_REMEMBER_URLS, parameters)
    lanes = "DELETE FROM main.unihooks_lanes WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints))"
    connection.execute(lanes, parameters)


def _fit_lanes(connection: sqlite3.Connection, old: Webhook, new: Webhook, now: int) -> None:
    for endpoint in new.endpoints:
        before = old.endpoint(endpoint.id)
        is_open = new.active and endpoint.enabled
        if before is None:
            _add_lane(connection, new, endpoint.id, is_open=is_open, now=now)
            continue
        if endpoint.enabled and not before.enabled:
            connection.execute(_FRESH_HEALTH, (endpoint.id,))
        connection.execute(_OPEN_LANE if is_open else _CLOSE_LANE, {"endpoint": endpoint.id, "now": now})


def _add_lane(connection: sqlite3.Connection, webhook: Webhook, endpoint_id: str, *, is_open: bool, now: int) -> None:
    row = (endpoint_id, webhook.tenant, webhook.id, int(is_open), None if is_open else now)
    connection.execute(_ADD_LANE, row)


def _complete(connection: sqlite3.Connection, row: _rows.Row) -> Webhook:
    parts = [
        connection.execute(
            f"SELECT {columns} FROM main.unihooks_{table} WHERE webhook_id = ? ORDER BY position", (row[0],)
        ).fetchall()
        for table, columns in (
            ("endpoints", _rows.ENDPOINT_COLUMNS),
            ("secrets", _rows.SECRET_COLUMNS),
            ("subscriptions", _rows.SUBSCRIPTION_COLUMNS),
        )
    ]
    return _rows.to_webhook(row, *parts)


def _secrets(connection: sqlite3.Connection, webhook_id: str) -> tuple[Secret, ...]:
    statement = f"SELECT {_rows.SECRET_COLUMNS} FROM main.unihooks_secrets WHERE webhook_id = ? ORDER BY position"
    return tuple(_rows.to_secret(row) for row in connection.execute(statement, (webhook_id,)))
