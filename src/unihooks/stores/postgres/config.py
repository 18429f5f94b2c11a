"""Keep webhooks in PostgreSQL: their rows, the tenant's config_version, and the lane of each endpoint."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from unihooks._contract.filters import split_position
from unihooks._model.checks import not_found
from unihooks._model.webhooks import Webhook
from unihooks.abc import ENDPOINT_REMOVED, WEBHOOK_DELETED, Destination, WebhookFilter, Window
from unihooks.stores.postgres.statements import NOW, Statements
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.refusals import too_many_webhooks

# Changes of a tenant's configuration exclude one another and whatever makes deliveries for it: what
# planning inserts for an endpoint is then there before the endpoint goes, or not made at all.
_LOCK = """
SELECT {function}(key) FROM (
    SELECT DISTINCT hashtextextended(CAST(%(schema)s AS text) || ' ' || tenant, 0) AS key
    FROM unnest(CAST(%(tenants)s AS text[])) AS t (tenant) ORDER BY 1
) AS keys
"""
_CHANGING = _LOCK.format(function="pg_advisory_xact_lock")
_READING = _LOCK.format(function="pg_advisory_xact_lock_shared")
_CONFIG_VERSIONS = "SELECT tenant, config_version FROM unihooks.tenants WHERE tenant = ANY(%(tenants)s)"
# The same for the tenants that an earlier statement of the transaction has put into this setting, as JSON.
PLANNED_TENANTS = "unihooks_planned.tenants"
_SETTING = f"CAST(nullif(current_setting('{PLANNED_TENANTS}', true), '') AS json)"
_PLANNED = f"ARRAY(SELECT json_array_elements_text({_SETTING}))"
PLAN_ALONG = tuple(text.replace("%(tenants)s", _PLANNED) for text in (_READING, _CONFIG_VERSIONS))
_RAISE_CONFIG_VERSION = """
INSERT INTO unihooks.tenants AS t (tenant, config_version) VALUES (%(tenant)s, 1)
ON CONFLICT (tenant) DO UPDATE SET config_version = t.config_version + 1
"""
# Deliveries before lanes, and each in the order of ids: all transactions lock in this order.
_CANCEL = """
WITH found AS MATERIALIZED (
    SELECT tenant, id FROM unihooks.deliveries WHERE endpoint_id = ANY(%(endpoints)s) AND state = 'pending'
), gone AS (
    SELECT d.tenant, d.id FROM (SELECT tenant, id FROM found ORDER BY tenant, id) AS k CROSS JOIN LATERAL (
        SELECT tenant, id FROM unihooks.deliveries WHERE tenant = k.tenant AND id = k.id FOR NO KEY UPDATE
    ) AS d
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = %(reason)s, finished_at = %(now)s
FROM gone WHERE d.tenant = gone.tenant AND d.id = gone.id AND d.state = 'pending'
"""
_REMEMBER_URLS = """
INSERT INTO unihooks.former_endpoints (id, url, removed_at)
SELECT id, url, %(now)s FROM unihooks.endpoints WHERE id = ANY(%(endpoints)s)
ON CONFLICT (id) DO UPDATE SET url = excluded.url, removed_at = excluded.removed_at
"""
_LOCK_LANES = "SELECT 1 FROM unihooks.lanes WHERE endpoint_id = ANY(%(endpoints)s) ORDER BY endpoint_id FOR UPDATE"
_CLOSE_LANE = """
UPDATE unihooks.lanes SET open = false, closed_at = %(now)s WHERE endpoint_id = %(endpoint)s AND open
"""
# Time held counts neither for retry limits nor for the time an endpoint has been failing.
_OPEN_LANE = """
UPDATE unihooks.lanes
SET open = true, closed_at = NULL, held_total_us = held_total_us + %(now)s - closed_at,
    failing_since = failing_since + %(now)s - closed_at
WHERE endpoint_id = %(endpoint)s AND NOT open
"""
_FRESH_HEALTH = "UPDATE unihooks.lanes SET failing_since = NULL, failures = 0 WHERE endpoint_id = %(endpoint)s"
_DISABLE = """
UPDATE unihooks.endpoints SET state = 'disabled', disabled_reason = %(reason)s, disabled_at = %(now)s
WHERE id = %(endpoint)s AND url = %(url)s AND state = 'enabled' RETURNING tenant, webhook_id
"""
_DESTINATIONS = """
SELECT e.id, e.webhook_id, e.tenant, e.url, w.headers, coalesce(l.open, false), coalesce(t.config_version, 0)
FROM unihooks.endpoints AS e
JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
LEFT JOIN unihooks.tenants AS t ON t.tenant = e.tenant
WHERE e.id = ANY(%(endpoints)s)
"""
_FAILS = "SELECT webhook_id FROM unihooks.lanes WHERE tenant = %(tenant)s AND failing_since IS NOT NULL"
_PARTS = {
    "endpoints": _rows.ENDPOINT_COLUMNS,
    "secrets": _rows.SECRET_COLUMNS,
    "subscriptions": _rows.SUBSCRIPTION_COLUMNS,
}


def change_alone(it: Statements, tenants: Iterable[str]) -> None:
    """Wait until nobody else changes, or plans for, these tenants; until the transaction ends."""
    it.fetch(_CHANGING, schema=it.schema.name, tenants=list(tenants))


def plan_along(it: Statements, tenants: Iterable[str]) -> dict[str, int]:
    """Wait until nobody changes these tenants' configuration; until the transaction ends. Return its versions."""
    found = it.fetch_last(_READING, _CONFIG_VERSIONS, schema=it.schema.name, tenants=list(tenants))
    return dict.fromkeys(tenants, 0) | dict(found)


def server_time(it: Statements) -> int:
    """Return the server's time at this moment."""
    return int(it.fetch(f"SELECT {NOW}")[0][0])


def add_webhook(it: Statements, webhook: Webhook, at_most: int) -> None:
    """Store a new webhook with its lanes."""
    change_alone(it, [webhook.tenant])
    count = it.fetch("SELECT count(*) FROM unihooks.webhooks WHERE tenant = %(tenant)s", tenant=webhook.tenant)
    if count[0][0] >= at_most:
        raise too_many_webhooks(at_most)
    _insert(it, webhook)
    _add_lanes(it, webhook, [item.id for item in webhook.endpoints])
    _raise_config_version(it, webhook.tenant)


def get_webhook(it: Statements, tenant: str, webhook_id: str) -> Webhook:
    """Return the webhook or raise NotFound."""
    statement = f"SELECT {_rows.WEBHOOK_COLUMNS} FROM unihooks.webhooks WHERE tenant = %(tenant)s AND id = %(id)s"
    rows = it.fetch(statement, tenant=tenant, id=webhook_id)
    if not rows:
        raise not_found("webhook", webhook_id, tenant)
    return _complete(it, rows)[0]


def list_webhooks(it: Statements, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
    """Return webhooks, newest or last name first."""
    rising = window.newer_than is not None
    edge = window.newer_than if rising else window.older_than
    sign, order = (">", "ASC") if rising else ("<", "DESC")
    name, id_ = split_position(edge or "") if window.by_name and edge is not None else (None, edge)
    conditions: dict[str, tuple[str, Any]] = {
        "status": ("status = %(status)s", filters.status and filters.status.value),
        "search": ("position(%(search)s IN search_text) > 0", filters.search.casefold() if filters.search else None),
        "failing": (f"(id IN ({_FAILS})) = %(failing)s", filters.failing),
        "name": (f"(name_key, id) {sign} (%(name)s, %(id)s)", name),
        "id": (f"id {sign} %(id)s" if name is None else "true", id_),
    }
    given = {key: pair for key, pair in conditions.items() if pair[1] is not None}
    narrowed = "".join(f" AND {text}" for text, _ in given.values())
    statement = f"""
    SELECT {_rows.WEBHOOK_COLUMNS} FROM unihooks.webhooks WHERE tenant = %(tenant)s{narrowed}
    ORDER BY {f"name_key {order}, " if window.by_name else ""}id {order} LIMIT %(limit)s
    """
    rows = it.fetch(statement, tenant=tenant, limit=window.limit, **{key: value for key, (_, value) in given.items()})
    return _complete(it, rows[::-1] if rising else rows)


def revise_webhook(
    it: Statements, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook], now: int
) -> Webhook:
    """Replace the webhook's rows and fit its lanes to them; the tenant is locked by `change_alone`."""
    old = get_webhook(it, tenant, webhook_id)
    new = revise(old)
    kept = {endpoint.id for endpoint in new.endpoints}
    _remove_endpoints(it, [item.id for item in old.endpoints if item.id not in kept], ENDPOINT_REMOVED, now)
    _delete_rows(it, webhook_id)
    _insert(it, new)
    _fit_lanes(it, old, new, now)
    _raise_config_version(it, tenant)
    return new


def delete_webhook(it: Statements, tenant: str, webhook_id: str) -> None:
    """Remove the webhook's rows and lanes; cancel what is pending."""
    change_alone(it, [tenant])
    old = get_webhook(it, tenant, webhook_id)
    _remove_endpoints(it, [item.id for item in old.endpoints], WEBHOOK_DELETED, it.now)
    _delete_rows(it, webhook_id)
    _raise_config_version(it, tenant)


def disable_endpoint(it: Statements, endpoint_id: str, url: str, reason: str) -> tuple[str, str] | None:
    """Disable an enabled endpoint of this URL and hold its deliveries; return its tenant and webhook if it was one.

    The tenant is locked by `change_alone`.
    """
    owner = it.fetch_one(_DISABLE, endpoint=endpoint_id, url=url, reason=reason, now=it.now)
    if owner is None:
        return None
    tenant, webhook_id = owner
    it.run(_CLOSE_LANE, endpoint=endpoint_id, now=it.now)
    it.run("UPDATE unihooks.webhooks SET version = version + 1 WHERE id = %(id)s", id=webhook_id)
    _raise_config_version(it, tenant)
    return tenant, webhook_id


def destinations(it: Statements, endpoint_ids: Collection[str]) -> dict[str, Destination]:
    """Return the current destination of each endpoint that exists."""
    rows = it.fetch(_DESTINATIONS, endpoints=list(endpoint_ids))
    secrets = _parts(it, "secrets", list({row[1] for row in rows}))
    return {row[0]: _rows.to_destination(row, tuple(_rows.to_secret(item) for item in secrets[row[1]])) for row in rows}


def config_versions(it: Statements, tenants: Collection[str]) -> dict[str, int]:
    """Return each tenant's config_version; 0 for an unknown one."""
    return dict.fromkeys(tenants, 0) | dict(it.fetch(_CONFIG_VERSIONS, tenants=list(tenants)))


def _raise_config_version(it: Statements, tenant: str) -> None:
    it.run(_RAISE_CONFIG_VERSION, tenant=tenant)


def _insert(it: Statements, webhook: Webhook) -> None:
    row = (*_rows.webhook_row(webhook), _rows.search_text(webhook))
    it.insert("webhooks", f"{_rows.WEBHOOK_COLUMNS}, search_text", [row])
    it.insert("endpoints", _rows.ENDPOINT_COLUMNS, _rows.endpoint_rows(webhook))
    it.insert("secrets", _rows.SECRET_COLUMNS, _rows.secret_rows(webhook))
    it.insert("subscriptions", _rows.SUBSCRIPTION_COLUMNS, _rows.subscription_rows(webhook))


def _delete_rows(it: Statements, webhook_id: str) -> None:
    it.run("DELETE FROM unihooks.webhooks WHERE id = %(id)s", id=webhook_id)
    for table in _PARTS:
        it.run(f"DELETE FROM unihooks.{table} WHERE webhook_id = %(id)s", id=webhook_id)


def _remove_endpoints(it: Statements, endpoint_ids: list[str], reason: str, now: int) -> None:
    if not endpoint_ids:
        return
    it.run(_CANCEL, endpoints=endpoint_ids, reason=reason, now=now)
    it.run(_REMEMBER_URLS, endpoints=endpoint_ids, now=now)
    it.fetch(_LOCK_LANES, endpoints=endpoint_ids)
    it.run("DELETE FROM unihooks.lanes WHERE endpoint_id = ANY(%(endpoints)s)", endpoints=endpoint_ids)


def _fit_lanes(it: Statements, old: Webhook, new: Webhook, now: int) -> None:
    it.fetch(_LOCK_LANES, endpoints=[item.id for item in new.endpoints])
    _add_lanes(it, new, [item.id for item in new.endpoints if old.endpoint(item.id) is None], now)
    for endpoint in new.endpoints:
        before = old.endpoint(endpoint.id)
        if before is None:
            continue
        if endpoint.enabled and not before.enabled:
            it.run(_FRESH_HEALTH, endpoint=endpoint.id)
        is_open, was_open = new.active and endpoint.enabled, old.active and before.enabled
        if is_open != was_open:
            it.run(_OPEN_LANE if is_open else _CLOSE_LANE, endpoint=endpoint.id, now=now)


def _add_lanes(it: Statements, webhook: Webhook, endpoint_ids: Collection[str], now: int | None = None) -> None:
    at = it.now if now is None else now
    rows = []
    for endpoint_id in endpoint_ids:
        endpoint = webhook.endpoint(endpoint_id)
        is_open = webhook.active and endpoint is not None and endpoint.enabled
        rows.append((endpoint_id, webhook.tenant, webhook.id, is_open, None if is_open else at))
    it.insert("lanes", "endpoint_id, tenant, webhook_id, open, closed_at", rows, "ON CONFLICT (endpoint_id) DO NOTHING")


def _complete(it: Statements, rows: list[_rows.Row]) -> list[Webhook]:
    ids = [row[0] for row in rows]
    endpoints, secrets, subscriptions = (_parts(it, table, ids) for table in _PARTS)
    return [_rows.to_webhook(row, endpoints[row[0]], secrets[row[0]], subscriptions[row[0]]) for row in rows]


def _parts(it: Statements, table: str, webhook_ids: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    statement = f"""
    SELECT webhook_id, {_PARTS[table]} FROM unihooks.{table} WHERE webhook_id = ANY(%(ids)s)
    ORDER BY webhook_id, position
    """
    parts: dict[str, list[tuple[Any, ...]]] = {id_: [] for id_ in webhook_ids}
    for owner, *row in it.fetch(statement, ids=webhook_ids) if webhook_ids else ():
        parts[owner].append(tuple(row))
    return parts
