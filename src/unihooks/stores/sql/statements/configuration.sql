-- name: config_versions
SELECT tenant, config_version FROM unihooks.tenants WHERE tenant = ANY(:tenants)

-- name: webhooks
SELECT w.id, w.tenant, w.name, w.description, w.status, w.mapping, w.version, w.created_at, w.updated_at,
    w.activated_at, w.activated_mark, w.deactivated_at, w.deactivated_mark, w.headers
FROM unihooks.webhooks AS w WHERE w.tenant = :tenant

-- name: failing_webhooks
SELECT webhook_id FROM unihooks.lanes WHERE tenant = :tenant AND failing_since IS NOT NULL

-- name: endpoints_of_webhooks
-- columns: webhook_id, id, url, description, state, disabled_reason, disabled_at
SELECT webhook_id, id, url, description, state, disabled_reason, disabled_at FROM unihooks.endpoints
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: secrets_of_webhooks
-- columns: webhook_id, created_at, expires_at, value
-- bytes: value
SELECT webhook_id, created_at, expires_at, value FROM unihooks.secrets
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: subscriptions_of_webhooks
-- columns: webhook_id, product, event_type
SELECT webhook_id, product, event_type FROM unihooks.subscriptions
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: add_webhook_row
INSERT INTO unihooks.webhooks (
    id, tenant, name, description, status, mapping, rendering, headers, version, created_at, updated_at,
    activated_at, activated_mark, deactivated_at, deactivated_mark, name_key, search_text
) VALUES (
    :id, :tenant, :name, :description, :status, :mapping, :rendering, :headers, :version, :created_at, :updated_at,
    :activated_at, :activated_mark, :deactivated_at, :deactivated_mark, :name_key, :search_text
)

-- name: delete_webhook_row
DELETE FROM unihooks.webhooks WHERE id = :webhook

-- name: delete_endpoints
DELETE FROM unihooks.endpoints WHERE webhook_id = :webhook

-- name: delete_secrets
DELETE FROM unihooks.secrets WHERE webhook_id = :webhook

-- name: delete_subscriptions
DELETE FROM unihooks.subscriptions WHERE webhook_id = :webhook

-- name: raise_webhook_version
UPDATE unihooks.webhooks SET version = version + 1 WHERE id = :webhook

-- name: renderings
-- columns: id, definition
SELECT id, definition FROM unihooks.renderings WHERE id = ANY(:ids)

-- name: disable_endpoint
UPDATE unihooks.endpoints SET state = 'disabled', disabled_reason = :reason, disabled_at = :now
WHERE id = :endpoint AND url = :url AND state = 'enabled' RETURNING tenant, webhook_id

-- name: remember_urls
INSERT INTO unihooks.former_endpoints (id, url, removed_at)
SELECT id, url, :now FROM unihooks.endpoints WHERE id = ANY(:endpoints)
ON CONFLICT (id) DO UPDATE SET url = excluded.url, removed_at = excluded.removed_at

-- name: delete_lanes
DELETE FROM unihooks.lanes WHERE endpoint_id = ANY(:endpoints)

-- name: reset_health
UPDATE unihooks.lanes SET failing_since = NULL, failures = 0
WHERE endpoint_id = ANY(:endpoints)

-- name: find_answer
SELECT digest, status, content FROM unihooks.answers WHERE tenant = :tenant AND key = :key

-- name: reserve_answer
INSERT INTO unihooks.answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
ON CONFLICT (tenant, key) DO NOTHING

-- name: keep_answer
UPDATE unihooks.answers SET status = :status, content = :content WHERE tenant = :tenant AND key = :key

-- name: drop_answer
DELETE FROM unihooks.answers WHERE tenant = :tenant AND key = :key
