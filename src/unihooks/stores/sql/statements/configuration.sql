-- name: config_versions
SELECT tenant, config_version FROM unihooks.tenants WHERE tenant = ANY(:tenants)

-- name: webhooks
SELECT w.id, w.tenant, w.name, w.description, w.status, w.mapping, w.policy, w.metadata, w.ordered, w.version, w.created_at,
    w.updated_at, w.activated_at, w.activated_mark, w.deactivated_at, w.deactivated_mark, w.headers
FROM unihooks.webhooks AS w WHERE w.tenant = :tenant

-- name: webhook_ids
SELECT w.id FROM unihooks.webhooks AS w WHERE w.tenant = :tenant

-- name: webhooks_not_healthy
SELECT l.webhook_id FROM unihooks.lanes AS l JOIN unihooks.endpoints AS e ON e.id = l.endpoint_id
WHERE l.tenant = :tenant AND l.health <> 'healthy' AND e.state = 'enabled'

-- name: webhooks_with_disabled
SELECT e.webhook_id FROM unihooks.endpoints AS e WHERE e.tenant = :tenant AND e.state = 'disabled'

-- name: enabled_endpoint
SELECT 1 FROM unihooks.endpoints AS e WHERE e.webhook_id = w.id AND e.state = 'enabled'

-- name: attempted_endpoint
SELECT 1 FROM unihooks.endpoints AS e JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
WHERE e.webhook_id = w.id AND e.state = 'enabled' AND (l.last_success_at IS NOT NULL OR l.last_failure_at IS NOT NULL)

-- name: endpoints_of_webhooks
-- columns: webhook_id, url, id, description, state, disabled_reason, disabled_at
SELECT webhook_id, url, id, description, state, disabled_reason, disabled_at FROM unihooks.endpoints
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: secrets_of_webhooks
-- columns: webhook_id, created_at, expires_at, value
-- bytes: value
SELECT webhook_id, created_at, expires_at, value FROM unihooks.secrets
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: subscriptions_of_webhooks
-- columns: webhook_id, product, event_type, conditions
SELECT webhook_id, product, event_type, conditions FROM unihooks.subscriptions
WHERE webhook_id = ANY(:webhooks) ORDER BY webhook_id, position

-- name: add_webhook_row
INSERT INTO unihooks.webhooks (
    id, tenant, name, description, status, mapping, policy, rendering, metadata, headers, ordered, version, created_at,
    updated_at, activated_at, activated_mark, deactivated_at, deactivated_mark, name_key, search_text
) VALUES (
    :id, :tenant, :name, :description, :status, :mapping, :policy, :rendering, :metadata, :headers, :ordered, :version,
    :created_at, :updated_at,
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
INSERT INTO unihooks.former_endpoints (id, tenant, webhook_id, url, removed_at)
SELECT id, tenant, webhook_id, url, :now FROM unihooks.endpoints WHERE id = ANY(:endpoints)
ON CONFLICT (id) DO UPDATE SET url = excluded.url, removed_at = excluded.removed_at

-- name: delete_lanes
DELETE FROM unihooks.lanes WHERE endpoint_id = ANY(:endpoints)

-- name: reset_health
UPDATE unihooks.lanes SET failing_since = NULL, failures = 0, outcomes = 1, health = 'healthy',
    told_health = 'healthy', pause_us = NULL, probe_at = NULL,
    ready_at = CASE WHEN pause_us IS NULL THEN ready_at END,
    not_before = CASE WHEN pause_us IS NULL THEN not_before END,
    next_due_at = CASE WHEN pause_us IS NULL OR next_due_at IS NULL THEN next_due_at ELSE :now END
WHERE endpoint_id = ANY(:endpoints) AND (outcomes > 1 OR failures > 0 OR pause_us IS NOT NULL)

-- A test tells nothing to the breaker, which keeps its pause and the failures that it counts.
-- name: forget_failing
UPDATE unihooks.lanes SET failing_since = NULL WHERE endpoint_id = ANY(:endpoints) AND failing_since IS NOT NULL

-- name: forget_outcomes
UPDATE unihooks.lanes SET outcomes = 1, health = 'healthy', told_health = 'healthy'
WHERE endpoint_id = ANY(:endpoints) AND health <> 'healthy'

-- name: lanes_told_to_fail
SELECT tenant, webhook_id, endpoint_id FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND told_health <> 'healthy'

-- name: lanes_not_healthy
SELECT endpoint_id FROM unihooks.lanes WHERE endpoint_id = ANY(:endpoints) AND health <> 'healthy'

-- What is leased already counts, and is under way until leased_until at the most.
-- name: fit_limits
UPDATE unihooks.lanes SET rate = :rate, burst = :burst, in_flight_limit = :in_flight, deadline_us = :deadline_us,
    tokens = CASE WHEN tokens > :burst THEN :burst ELSE tokens END, leased_until = :leased_until,
    ready_at = CASE WHEN pause_us IS NOT NULL THEN ready_at END,
    next_due_at = CASE WHEN next_due_at IS NOT NULL THEN greatest(
        :now, coalesce(not_before, 0), CASE WHEN pause_us IS NULL THEN 0 ELSE coalesce(ready_at, 0) END
    ) END
WHERE endpoint_id = ANY(:endpoints)

-- How the old URL responded says nothing about the one that replaced it.
-- name: end_waits
UPDATE unihooks.lanes SET not_before = NULL, next_due_at = CASE WHEN next_due_at IS NOT NULL THEN :now END
WHERE endpoint_id = ANY(:endpoints) AND not_before > :now

-- name: find_answer
SELECT digest, status, content FROM unihooks.answers WHERE tenant = :tenant AND key = :key

-- name: reserve_answer
INSERT INTO unihooks.answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
ON CONFLICT (tenant, key) DO NOTHING

-- name: keep_answer
UPDATE unihooks.answers SET status = :status, content = :content WHERE tenant = :tenant AND key = :key

-- name: drop_answer
DELETE FROM unihooks.answers WHERE tenant = :tenant AND key = :key

-- name: raise_config_version
INSERT INTO unihooks.tenants AS t (tenant, config_version)
SELECT CAST(:tenant AS text), s.first_version FROM unihooks.store AS s WHERE true
ON CONFLICT (tenant) DO UPDATE SET config_version = t.config_version + 1

-- name: add_endpoints
-- rows: id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at
INSERT INTO unihooks.endpoints (id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at)
VALUES :rows

-- name: add_subscriptions
-- rows: tenant, product, event_type, webhook_id, position, conditions
INSERT INTO unihooks.subscriptions (tenant, product, event_type, webhook_id, position, conditions) VALUES :rows

-- name: keep_renderings
-- rows: id, definition, kept_at
INSERT INTO unihooks.renderings (id, definition, kept_at) VALUES :rows
ON CONFLICT (id) DO UPDATE SET kept_at = excluded.kept_at

-- name: destinations
SELECT e.id, e.webhook_id, e.tenant, e.url, coalesce(l.open, false), coalesce(t.config_version, 0), w.policy, w.headers
FROM unihooks.endpoints AS e
JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
LEFT JOIN unihooks.tenants AS t ON t.tenant = e.tenant
WHERE e.id = ANY(:endpoints)

-- name: add_lanes
-- rows: endpoint_id, tenant, webhook_id, slot, open, closed_at, rate, burst, in_flight_limit, deadline_us
INSERT INTO unihooks.lanes (
    endpoint_id, tenant, webhook_id, slot, open, closed_at, rate, burst, in_flight_limit, deadline_us
)
VALUES :rows
ON CONFLICT (endpoint_id) DO NOTHING

-- name: close_lanes
UPDATE unihooks.lanes SET open = false, closed_at = :now WHERE endpoint_id = ANY(:endpoints) AND open

-- Time held counts neither for retry limits nor for the time an endpoint has been failing.
-- name: open_lanes
UPDATE unihooks.lanes
SET open = true, closed_at = NULL, held_total_us = held_total_us + :now - closed_at,
    failing_since = failing_since + :now - closed_at
WHERE endpoint_id = ANY(:endpoints) AND NOT open

-- Whoever clears away at the same time is left to it: so nobody waits in a circle.
-- name: forget_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers
    WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))
    FOR UPDATE SKIP LOCKED
)

-- name: trim_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT a.tenant, a.key FROM unihooks.answers AS a WHERE a.tenant = :tenant AND a.created_at < (
        SELECT created_at FROM unihooks.answers WHERE tenant = :tenant
        ORDER BY created_at DESC LIMIT 1 OFFSET CAST(:at_most AS integer) - 1
    )
    FOR UPDATE SKIP LOCKED
)

-- name: add_secrets
-- rows: webhook_id, position, created_at, expires_at, value
INSERT INTO unihooks.secrets (webhook_id, position, created_at, expires_at, value) VALUES :rows

-- name: count_endpoints
SELECT count(*) FROM unihooks.webhooks AS w JOIN unihooks.endpoints AS e ON e.webhook_id = w.id WHERE w.tenant = :tenant
