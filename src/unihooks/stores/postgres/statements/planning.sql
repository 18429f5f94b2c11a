-- What is new is found by the state of its row alone, never by an id or time that was reached: an older event may
-- commit later. `found` are tenants in turn, a little of each of many, so that few events are locked in vain.
-- set_config hands the tenants over to the two statements that follow. Bodies of up to 8 KiB come along.

-- name: find_new_events
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.events WHERE NOT planned AND tenant > :after ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant FROM unihooks.events AS e
            WHERE NOT e.planned AND e.tenant > turns.tenant ORDER BY e.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
), found AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL LIMIT :tenants)
SELECT e.tenant, e.id, e.plan_cursor, e.plan_tries, 0, e.product, e.event_type, e.created_at, octet_length(e.body),
    CASE WHEN octet_length(e.body) <= 8192 THEN e.body END
FROM (
    SELECT set_config('unihooks_planned.tenants', (SELECT CAST(json_agg(tenant) AS text) FROM found), true)
) AS told
CROSS JOIN found CROSS JOIN LATERAL (
    SELECT * FROM unihooks.events WHERE tenant = found.tenant AND NOT planned
    ORDER BY queued_at, id LIMIT (SELECT ceil(CAST(:limit AS numeric) / count(*)) FROM found)
    FOR NO KEY UPDATE SKIP LOCKED
) AS e ORDER BY e.tenant, e.queued_at, e.id

-- What was found is here already.
-- name: found_events

-- name: share_found_configuration
SELECT pg_advisory_xact_lock_shared(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM json_array_elements_text(
        CAST(nullif(current_setting('unihooks_planned.tenants', true), '') AS json)
    ) AS t (tenant) ORDER BY 1
) AS keys

-- name: found_config_versions
SELECT tenant, config_version FROM unihooks.tenants WHERE tenant = ANY(ARRAY(
    SELECT json_array_elements_text(CAST(nullif(current_setting('unihooks_planned.tenants', true), '') AS json))
))

-- name: event_bodies
-- rows: tenant, id
SELECT e.tenant, e.id, e.body FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
JOIN unihooks.events AS e ON e.tenant = k.tenant AND e.id = k.id

-- name: add_planned_deliveries
-- rows: tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering
INSERT INTO unihooks.deliveries (
    state, due_at, token, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering
)
SELECT 'pending', CAST(:due_at AS bigint), CAST(:token AS bigint), CAST(:now AS bigint), r.tenant, r.id, r.event_id,
    r.webhook_id, r.endpoint_id, r.product, r.event_type, r.rendering
FROM json_to_recordset(CAST(:rows AS json)) AS r (tenant text, id text, event_id text, webhook_id text,
    endpoint_id text, product text, event_type text, rendering text)
ON CONFLICT (event_id, endpoint_id, (CASE WHEN replay_of IS NULL THEN 1 END)) DO NOTHING

-- name: add_deliveries
-- rows: tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering, state, due_at, token, reason, replay_of, created_at
INSERT INTO unihooks.deliveries (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering, state, due_at, token, reason,
    replay_of, created_at
)
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r (
    tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text,
    rendering text, state text, due_at bigint, token bigint, reason text, replay_of text, created_at bigint
)
ON CONFLICT (event_id, endpoint_id, (CASE WHEN replay_of IS NULL THEN 1 END)) DO NOTHING RETURNING id

-- name: existing_deliveries
-- rows: tenant, id
SELECT d.id FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id = k.id

-- name: mark_planned
-- rows: tenant, id, place
UPDATE unihooks.events AS e SET planned = true
FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
WHERE e.tenant = k.tenant AND e.id = k.id

-- name: mark_partly_planned
-- rows: tenant, id, cursor, queued_at
UPDATE unihooks.events AS e SET plan_cursor = k.cursor, queued_at = k.queued_at
FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text, cursor text, queued_at bigint)
WHERE e.tenant = k.tenant AND e.id = k.id

-- name: mark_plan_failed
-- rows: tenant, id, error, tries, planned, queued_at
UPDATE unihooks.events AS e
SET plan_error = k.error, plan_tries = k.tries, planned = k.planned, queued_at = k.queued_at
FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text, error text, tries smallint, planned boolean,
    queued_at bigint)
WHERE e.tenant = k.tenant AND e.id = k.id

-- name: more_new_events
SELECT 1 WHERE EXISTS (SELECT 1 FROM unihooks.events WHERE NOT planned ORDER BY tenant, queued_at, id LIMIT 1)
