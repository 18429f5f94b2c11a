-- What is new is found by the state of its row alone, never by an id or time that was reached: an older event may
-- commit later. `found` are tenants in turn, a little of each of many.

-- name: find_new_events
-- groups: tenant; id, plan_cursor, plan_tries, place
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
), found AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL)
SELECT json_group_array(json_array(tenant, (
    SELECT json_group_array(json_array(id, plan_cursor, plan_tries, place)) FROM (
        SELECT id, plan_cursor, plan_tries, rowid AS place FROM main.unihooks_events AS n
        WHERE n.tenant = found.tenant AND NOT n.planned
        ORDER BY n.queued_at, n.rowid LIMIT (SELECT (:limit + count(*) - 1) / count(*) FROM found)
    )
))) FROM found

-- name: mark_new_events
-- rows: tenant, id

-- name: hold_configuration
-- rows: tenant, config_version

-- name: found_events
-- columns: place, product, event_type, created_at, size
SELECT rowid AS place, product, event_type, created_at, length(body) AS size
FROM main.unihooks_events WHERE rowid IN (SELECT value FROM json_each(:places))

-- name: share_found_configuration

-- name: found_config_versions
-- columns: tenant, config_version, not_before
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT t.tenant, t.config_version, (
    SELECT not_before FROM main.unihooks_lanes
    WHERE tenant = t.tenant AND not_before IS NOT NULL ORDER BY not_before DESC LIMIT 1
) AS not_before
FROM turns CROSS JOIN main.unihooks_tenants AS t ON t.tenant = turns.tenant

-- name: mark_planned
-- rows: tenant, id, place
-- list: place
UPDATE main.unihooks_events SET planned = 1 WHERE rowid IN (SELECT value FROM json_each(:place))

-- Every ten seconds will do, as most calls have better things to write.
-- name: note_clock_of_plan
UPDATE main.unihooks_store SET clock_at = :now WHERE clock_at IS NULL OR clock_at < :now - 10000000
