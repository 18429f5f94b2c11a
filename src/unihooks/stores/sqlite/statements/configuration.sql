-- A write transaction excludes all others.

-- name: lock_configuration

-- name: share_configuration

-- name: raise_config_version
INSERT INTO main.unihooks_tenants (tenant, config_version) VALUES (:tenant, 1)
ON CONFLICT (tenant) DO UPDATE SET config_version = config_version + 1

-- name: webhook_matches_search
instr(w.search_text, :search) > 0

-- name: add_endpoints
-- rows: id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at
INSERT INTO main.unihooks_endpoints
    (id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at)
VALUES :rows

-- name: add_secrets
-- rows: webhook_id, position, created_at, expires_at, value
-- bytes: value
INSERT INTO main.unihooks_secrets (webhook_id, position, created_at, expires_at, value)
VALUES :rows

-- name: add_subscriptions
-- rows: tenant, product, event_type, webhook_id, position
INSERT INTO main.unihooks_subscriptions (tenant, product, event_type, webhook_id, position)
VALUES :rows

-- name: keep_renderings
-- rows: id, definition, kept_at
INSERT INTO main.unihooks_renderings (id, definition, kept_at)
VALUES :rows
ON CONFLICT (id) DO UPDATE SET kept_at = excluded.kept_at

-- name: destinations
SELECT e.id, e.webhook_id, e.tenant, e.url, coalesce(l.open, 0), coalesce(t.config_version, 0), w.headers
FROM main.unihooks_endpoints AS e
JOIN main.unihooks_webhooks AS w ON w.id = e.webhook_id
LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id = e.id
LEFT JOIN main.unihooks_tenants AS t ON t.tenant = e.tenant
WHERE e.id IN (SELECT value FROM json_each(:endpoints))

-- name: cancel_deliveries_of_endpoints
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND state = 'pending'

-- name: add_lanes
-- rows: endpoint_id, tenant, webhook_id, open, closed_at
INSERT INTO main.unihooks_lanes (endpoint_id, tenant, webhook_id, open, closed_at)
VALUES :rows
ON CONFLICT (endpoint_id) DO NOTHING

-- name: close_lanes
UPDATE main.unihooks_lanes SET open = 0, closed_at = :now
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND open = 1

-- Time held counts neither for retry limits nor for the time an endpoint has been failing.
-- name: open_lanes
UPDATE main.unihooks_lanes
SET open = 1, closed_at = NULL, held_total_us = held_total_us + :now - closed_at,
    failing_since = failing_since + :now - closed_at
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND open = 0

-- name: forget_answers
DELETE FROM main.unihooks_answers
WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))

-- name: trim_answers
DELETE FROM main.unihooks_answers WHERE rowid IN (
    SELECT rowid FROM main.unihooks_answers WHERE tenant = :tenant
    ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET :at_most
)
