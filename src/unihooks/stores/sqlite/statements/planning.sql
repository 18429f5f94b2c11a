-- What is new is found by its row in new_events alone, never by an id or time that was reached: an older event may
-- commit later. `found` are tenants in turn, a little of each of many.

-- name: find_new_events
-- groups: tenant; id, plan_cursor, plan_tries, place
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_new_events WHERE tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_new_events WHERE tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
), found AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL)
SELECT json_group_array(json_array(tenant, (
    SELECT json_group_array(json_array(coalesce(event_id, place), plan_cursor, plan_tries, place)) FROM (
        SELECT event_id, plan_cursor, plan_tries, place FROM main.unihooks_new_events AS n
        WHERE n.tenant = found.tenant ORDER BY n.place LIMIT (SELECT (:limit + count(*) - 1) / count(*) FROM found)
    )
))) FROM found

-- Once a pause is over, too, nothing is leased but a probe.
-- name: found_config_versions
-- columns: tenant, config_version, not_before
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_new_events WHERE tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_new_events WHERE tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT t.tenant, t.config_version, coalesce((
    SELECT 4611686018427387904 FROM main.unihooks_lanes WHERE tenant = t.tenant AND pause_us IS NOT NULL LIMIT 1
), (
    SELECT not_before FROM main.unihooks_lanes
    WHERE tenant = t.tenant AND not_before IS NOT NULL ORDER BY not_before DESC LIMIT 1
)) AS not_before
FROM turns CROSS JOIN main.unihooks_tenants AS t ON t.tenant = turns.tenant

-- name: remove_planned
-- rows: tenant, place
-- list: place
DELETE FROM main.unihooks_new_events WHERE tenant = :tenant AND place IN (SELECT value FROM json_each(:place))

-- name: plan_later
-- rows: tenant, place, id, cursor, tries, error, later
UPDATE main.unihooks_new_events AS n
SET place = k.later, event_id = k.id, plan_cursor = k.cursor, plan_tries = k.tries, plan_error = k.error
FROM :rows AS k WHERE n.tenant = k.tenant AND n.place = k.place

-- Every ten seconds will do, as most calls have better things to write.
-- name: note_clock_of_plan
UPDATE main.unihooks_store SET clock_at = :now WHERE clock_at IS NULL OR clock_at < :now - 10000000
