-- What is new is found by the state of its row alone, never by an id or time that was reached: an older event may
-- commit later. `found` are tenants in turn, a little of each of many.

-- name: find_new_events
-- columns: tenant, id, plan_cursor, plan_tries, place
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
), found AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL)
SELECT e.tenant, e.id, e.plan_cursor, e.plan_tries, e.rowid AS place
FROM found CROSS JOIN main.unihooks_events AS e ON e.rowid IN (
    SELECT n.rowid FROM main.unihooks_events AS n WHERE n.tenant = found.tenant AND NOT n.planned
    ORDER BY n.queued_at, n.rowid LIMIT (SELECT (:limit + count(*) - 1) / count(*) FROM found)
)
ORDER BY e.tenant, e.queued_at, e.rowid

-- name: found_events
-- columns: place, product, event_type, created_at, size
SELECT rowid AS place, product, event_type, created_at, length(body) AS size
FROM main.unihooks_events WHERE rowid IN (SELECT value FROM json_each(:places))

-- name: share_found_configuration

-- name: found_config_versions
-- columns: tenant, config_version
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT t.tenant, t.config_version FROM turns CROSS JOIN main.unihooks_tenants AS t ON t.tenant = turns.tenant

-- name: event_bodies
-- rows: tenant, id
-- columns: tenant, id, body
-- bytes: body
SELECT e.tenant, e.id, e.body FROM (VALUES :rows) AS k
CROSS JOIN main.unihooks_events AS e ON e.tenant = k.column1 AND e.id = k.column2

-- name: add_planned_deliveries
-- rows: tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering
INSERT INTO main.unihooks_deliveries (
    state, due_at, token, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering
)
SELECT 'pending', :due_at, :token, :now, * FROM (VALUES :rows) WHERE true ON CONFLICT DO NOTHING

-- name: add_deliveries
-- rows: tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering, state, due_at, token, reason, replay_of, created_at
INSERT INTO main.unihooks_deliveries (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, rendering, state, due_at, token, reason,
    replay_of, created_at
)
VALUES :rows ON CONFLICT DO NOTHING RETURNING id

-- name: existing_deliveries
-- rows: tenant, id
-- columns: id
SELECT d.id FROM json_each(:rows) AS k
CROSS JOIN main.unihooks_deliveries AS d
    ON d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')

-- name: mark_planned
-- rows: tenant, id, place
-- list: place
UPDATE main.unihooks_events SET planned = 1 WHERE rowid IN (SELECT value FROM json_each(:place))

-- name: mark_partly_planned
-- rows: tenant, id, cursor, queued_at
UPDATE main.unihooks_events AS e
SET plan_cursor = json_extract(k.value, '$[2]'), queued_at = json_extract(k.value, '$[3]')
FROM json_each(:rows) AS k
WHERE e.tenant = json_extract(k.value, '$[0]') AND e.id = json_extract(k.value, '$[1]')

-- name: mark_plan_failed
-- rows: tenant, id, error, tries, planned, queued_at
UPDATE main.unihooks_events AS e
SET plan_error = json_extract(k.value, '$[2]'), plan_tries = json_extract(k.value, '$[3]'),
    planned = json_extract(k.value, '$[4]'), queued_at = json_extract(k.value, '$[5]')
FROM json_each(:rows) AS k
WHERE e.tenant = json_extract(k.value, '$[0]') AND e.id = json_extract(k.value, '$[1]')

-- name: more_new_events
SELECT 1 FROM main.unihooks_events WHERE NOT planned LIMIT 1
