-- What is new is found by its row in new_events alone, never by an id or time that was reached: an older event may
-- commit later. `found` are tenants in turn, a little of each of many, so that few events are locked in vain.
-- set_config hands the tenants over to the two statements that follow. Bodies of up to 8 KiB come along. {recent} is the
-- beginning of yesterday: what is older is looked up apart, so that a plan has not all the days in it.

-- name: find_new_events
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.new_events WHERE tenant > :after ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT n.tenant FROM unihooks.new_events AS n WHERE n.tenant > turns.tenant ORDER BY n.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
), found AS MATERIALIZED (SELECT tenant FROM turns WHERE tenant IS NOT NULL LIMIT :tenants)
SELECT n.tenant, coalesce(n.event_id, n.place), n.plan_cursor, n.plan_tries, CAST(n.ctid AS text), e.product, e.event_type, e.created_at,
    e.subject, octet_length(e.body), CASE WHEN octet_length(e.body) <= 8192 THEN e.body END
FROM (
    SELECT set_config('unihooks_planned.tenants', (SELECT CAST(json_agg(tenant) AS text) FROM found), true)
) AS told
CROSS JOIN found CROSS JOIN LATERAL (
    SELECT ctid, * FROM unihooks.new_events WHERE tenant = found.tenant
    ORDER BY place LIMIT (SELECT ceil(CAST(:limit AS numeric) / count(*)) FROM found)
    FOR UPDATE SKIP LOCKED
) AS n LEFT JOIN LATERAL (
    SELECT * FROM unihooks.events
    WHERE tenant = n.tenant AND id = coalesce(n.event_id, n.place) AND id >= 'evt_{recent}' LIMIT 1
) AS e ON true ORDER BY n.tenant, n.place

-- Errors end the whole transaction, unless all events are new, untouched and free, and nobody's configuration is another by now.
-- name: take_new_events
-- rows: tenant text, id text
WITH taken AS (
    DELETE FROM unihooks.new_events WHERE ctid = ANY(ARRAY(
        SELECT n.ctid FROM :rows AS k CROSS JOIN LATERAL (
            SELECT ctid FROM unihooks.new_events WHERE tenant = k.tenant AND place = k.id
            AND plan_cursor = '' FOR UPDATE SKIP LOCKED
        ) AS n
    )) RETURNING 1
)
SELECT 1 / CAST(count(*) = :count AS integer) FROM taken

-- name: hold_configuration
-- rows: tenant text, config_version bigint
SELECT 1 / CAST(count(*) = :count AS integer) FROM :rows AS k
JOIN unihooks.tenants AS t ON t.tenant = k.tenant AND t.config_version = k.config_version
WHERE NOT EXISTS (SELECT 1 FROM unihooks.lanes AS l WHERE l.tenant = k.tenant AND l.not_before > :now)
    AND NOT EXISTS (SELECT 1 FROM unihooks.lanes AS l WHERE l.tenant = k.tenant AND l.pause_us IS NOT NULL)

-- name: event_bodies
-- rows: tenant text, id text
SELECT e.tenant, e.id, e.body FROM :rows AS k
JOIN unihooks.events AS e ON e.tenant = k.tenant AND e.id = k.id AND e.id >= 'evt_{recent}'

-- name: share_found_configuration
SELECT pg_advisory_xact_lock_shared(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM json_array_elements_text(
        CAST(nullif(current_setting('unihooks_planned.tenants', true), '') AS json)
    ) AS t (tenant) ORDER BY 1
) AS keys

-- Once a pause is over, too, nothing is leased but a probe.
-- name: found_config_versions
SELECT t.tenant, t.config_version, coalesce((
    SELECT 4611686018427387904 FROM unihooks.lanes WHERE tenant = t.tenant AND pause_us IS NOT NULL LIMIT 1
), (
    SELECT not_before FROM unihooks.lanes
    WHERE tenant = t.tenant AND not_before IS NOT NULL ORDER BY not_before DESC LIMIT 1
)) FROM unihooks.tenants AS t WHERE t.tenant = ANY(ARRAY(
    SELECT json_array_elements_text(CAST(nullif(current_setting('unihooks_planned.tenants', true), '') AS json))
))

-- What was found is locked, and therefore stays where it is in the table.
-- name: remove_planned
-- rows: tenant text, place tid
DELETE FROM unihooks.new_events WHERE ctid = ANY(ARRAY(SELECT k.place FROM :rows AS k))

-- name: plan_later
-- rows: tenant text, place tid, id text, cursor text, tries smallint, error text, later text
UPDATE unihooks.new_events AS n
SET place = k.later, event_id = k.id, plan_cursor = k.cursor, plan_tries = k.tries, plan_error = k.error
FROM :rows AS k WHERE n.ctid = k.place

-- The server's clock hardly ever steps, and one row that all workers write would hold them up.
-- name: note_clock_of_plan
