-- Changes of a tenant's configuration exclude one another and whatever makes deliveries for it: what
-- planning inserts for an endpoint is then there before the endpoint goes, or not made at all.

-- name: lock_configuration
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM unnest(CAST(:tenants AS text[])) AS t (tenant) ORDER BY 1
) AS keys

-- name: share_configuration
SELECT pg_advisory_xact_lock_shared(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM unnest(CAST(:tenants AS text[])) AS t (tenant) ORDER BY 1
) AS keys

-- name: raise_config_version
INSERT INTO unihooks.tenants AS t (tenant, config_version) VALUES (:tenant, 1)
ON CONFLICT (tenant) DO UPDATE SET config_version = t.config_version + 1

-- name: webhook_matches_search
position(:search IN w.search_text) > 0

-- name: add_endpoints
-- rows: id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at
INSERT INTO unihooks.endpoints
    (id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at)
SELECT id, tenant, webhook_id, position, url, description, state, disabled_reason, disabled_at
FROM json_to_recordset(CAST(:rows AS json)) AS r (id text, tenant text, webhook_id text, position integer, url text,
    description text, state text, disabled_reason text, disabled_at bigint)

-- name: add_secrets
-- rows: webhook_id, position, created_at, expires_at, value
-- bytes: value
INSERT INTO unihooks.secrets (webhook_id, position, created_at, expires_at, value)
SELECT webhook_id, position, created_at, expires_at,
    substr(CAST(:value_all AS bytea), r.value_start, r.value_length)
FROM json_to_recordset(CAST(:rows AS json)) AS r (webhook_id text, position integer, created_at bigint,
    expires_at bigint, value_start integer, value_length integer)

-- name: add_subscriptions
-- rows: tenant, product, event_type, webhook_id, position
INSERT INTO unihooks.subscriptions (tenant, product, event_type, webhook_id, position)
SELECT tenant, product, event_type, webhook_id, position
FROM json_to_recordset(CAST(:rows AS json)) AS r (tenant text, product text, event_type text, webhook_id text,
    position integer)

-- name: keep_renderings
-- rows: id, definition, kept_at
INSERT INTO unihooks.renderings (id, definition, kept_at)
SELECT id, definition, kept_at
FROM json_to_recordset(CAST(:rows AS json)) AS r (id text, definition text, kept_at bigint)
ON CONFLICT (id) DO UPDATE SET kept_at = excluded.kept_at

-- name: destinations
SELECT e.id, e.webhook_id, e.tenant, e.url, coalesce(l.open, false), coalesce(t.config_version, 0), w.headers
FROM unihooks.endpoints AS e
JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
LEFT JOIN unihooks.tenants AS t ON t.tenant = e.tenant
WHERE e.id = ANY(:endpoints)

-- Deliveries before lanes, and each in the order of ids: all transactions lock in this order.
-- name: cancel_deliveries_of_endpoints
WITH found AS MATERIALIZED (
    SELECT tenant, id FROM unihooks.deliveries WHERE endpoint_id = ANY(:endpoints) AND state = 'pending'
), gone AS (
    SELECT d.tenant, d.id FROM (SELECT tenant, id FROM found ORDER BY tenant, id) AS k CROSS JOIN LATERAL (
        SELECT tenant, id FROM unihooks.deliveries WHERE tenant = k.tenant AND id = k.id FOR NO KEY UPDATE
    ) AS d
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = :reason
FROM gone WHERE d.tenant = gone.tenant AND d.id = gone.id AND d.state = 'pending'

-- name: add_lanes
-- rows: endpoint_id, tenant, webhook_id, open, closed_at
INSERT INTO unihooks.lanes (endpoint_id, tenant, webhook_id, open, closed_at)
SELECT endpoint_id, tenant, webhook_id, open, closed_at
FROM json_to_recordset(CAST(:rows AS json)) AS r (endpoint_id text, tenant text, webhook_id text, open boolean,
    closed_at bigint)
ON CONFLICT (endpoint_id) DO NOTHING

-- name: close_lanes
UPDATE unihooks.lanes SET open = false, closed_at = :now
WHERE endpoint_id = ANY(CAST(:endpoints AS text[])) AND open

-- Time held counts neither for retry limits nor for the time an endpoint has been failing.
-- name: open_lanes
UPDATE unihooks.lanes
SET open = true, closed_at = NULL, held_total_us = held_total_us + :now - closed_at,
    failing_since = failing_since + :now - closed_at
WHERE endpoint_id = ANY(CAST(:endpoints AS text[])) AND NOT open

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
        ORDER BY created_at DESC OFFSET CAST(:at_most AS integer) - 1 LIMIT 1
    )
    FOR UPDATE SKIP LOCKED
)
