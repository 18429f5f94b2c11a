-- A write transaction excludes all others.
-- name: lock_configuration

-- name: share_configuration

-- name: config_versions
SELECT tenant, config_version FROM main.unihooks_tenants WHERE tenant IN (SELECT value FROM json_each(:tenants))

-- name: raise_config_version
INSERT INTO main.unihooks_tenants (tenant, config_version) VALUES (:tenant, 1)
ON CONFLICT (tenant) DO UPDATE SET config_version = config_version + 1

-- name: webhooks
SELECT w.id, w.tenant, w.name, w.description, w.status, w.mapping, w.version, w.created_at, w.updated_at,
    w.activated_at, w.activated_mark, w.deactivated_at, w.deactivated_mark, w.headers
FROM main.unihooks_webhooks AS w WHERE w.tenant = :tenant

-- name: webhook_matches_search
instr(w.search_text, :search) > 0

-- name: failing_webhooks
SELECT webhook_id FROM main.unihooks_lanes WHERE tenant = :tenant AND failing_since IS NOT NULL

-- name: endpoints_of_webhooks
-- columns: webhook_id, id, url, description, state, disabled_reason, disabled_at
SELECT webhook_id, id, url, description, state, disabled_reason, disabled_at FROM main.unihooks_endpoints
WHERE webhook_id IN (SELECT value FROM json_each(:webhooks)) ORDER BY webhook_id, position

-- name: secrets_of_webhooks
-- columns: webhook_id, created_at, expires_at, value
-- bytes: value
SELECT webhook_id, created_at, expires_at, value FROM main.unihooks_secrets
WHERE webhook_id IN (SELECT value FROM json_each(:webhooks)) ORDER BY webhook_id, position

-- name: subscriptions_of_webhooks
-- columns: webhook_id, product, event_type
SELECT webhook_id, product, event_type FROM main.unihooks_subscriptions
WHERE webhook_id IN (SELECT value FROM json_each(:webhooks)) ORDER BY webhook_id, position

-- name: add_webhook_row
INSERT INTO main.unihooks_webhooks (
    id, tenant, name, description, status, mapping, rendering, headers, version, created_at, updated_at,
    activated_at, activated_mark, deactivated_at, deactivated_mark, name_key, search_text
) VALUES (
    :id, :tenant, :name, :description, :status, :mapping, :rendering, :headers, :version, :created_at, :updated_at,
    :activated_at, :activated_mark, :deactivated_at, :deactivated_mark, :name_key, :search_text
)

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

-- name: delete_webhook_row
DELETE FROM main.unihooks_webhooks WHERE id = :webhook

-- name: delete_endpoints
DELETE FROM main.unihooks_endpoints WHERE webhook_id = :webhook

-- name: delete_secrets
DELETE FROM main.unihooks_secrets WHERE webhook_id = :webhook

-- name: delete_subscriptions
DELETE FROM main.unihooks_subscriptions WHERE webhook_id = :webhook

-- name: raise_webhook_version
UPDATE main.unihooks_webhooks SET version = version + 1 WHERE id = :webhook

-- name: renderings
-- columns: id, definition
SELECT id, definition FROM main.unihooks_renderings WHERE id IN (SELECT value FROM json_each(:ids))

-- name: keep_renderings
-- rows: id, definition, kept_at
INSERT INTO main.unihooks_renderings (id, definition, kept_at)
VALUES :rows
ON CONFLICT (id) DO UPDATE SET kept_at = excluded.kept_at

-- name: disable_endpoint
UPDATE main.unihooks_endpoints SET state = 'disabled', disabled_reason = :reason, disabled_at = :now
WHERE id = :endpoint AND url = :url AND state = 'enabled' RETURNING tenant, webhook_id

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

-- name: remember_urls
INSERT INTO main.unihooks_former_endpoints (id, url, removed_at)
SELECT id, url, :now FROM main.unihooks_endpoints WHERE id IN (SELECT value FROM json_each(:endpoints))
ON CONFLICT (id) DO UPDATE SET url = excluded.url, removed_at = excluded.removed_at

-- name: add_lanes
-- rows: endpoint_id, tenant, webhook_id, open, closed_at
INSERT INTO main.unihooks_lanes (endpoint_id, tenant, webhook_id, open, closed_at)
VALUES :rows
ON CONFLICT (endpoint_id) DO NOTHING

-- name: delete_lanes
DELETE FROM main.unihooks_lanes WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints))

-- name: close_lanes
UPDATE main.unihooks_lanes SET open = 0, closed_at = :now
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND open = 1

-- Time held counts neither for retry limits nor for the time an endpoint has been failing.
-- name: open_lanes
UPDATE main.unihooks_lanes
SET open = 1, closed_at = NULL, held_total_us = held_total_us + :now - closed_at,
    failing_since = failing_since + :now - closed_at
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND open = 0

-- name: reset_health
UPDATE main.unihooks_lanes SET failing_since = NULL, failures = 0
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints))

-- name: forget_answers
DELETE FROM main.unihooks_answers
WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))

-- name: find_answer
SELECT digest, status, content FROM main.unihooks_answers WHERE tenant = :tenant AND key = :key

-- name: reserve_answer
INSERT INTO main.unihooks_answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
ON CONFLICT (tenant, key) DO NOTHING

-- name: trim_answers
DELETE FROM main.unihooks_answers WHERE rowid IN (
    SELECT rowid FROM main.unihooks_answers WHERE tenant = :tenant
    ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET :at_most
)

-- name: keep_answer
UPDATE main.unihooks_answers SET status = :status, content = :content WHERE tenant = :tenant AND key = :key

-- name: drop_answer
DELETE FROM main.unihooks_answers WHERE tenant = :tenant AND key = :key
