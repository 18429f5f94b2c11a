-- name: found_events
-- rows: tenant text, id text
-- columns: tenant, id, product, event_type, created_at, subject, size
SELECT e.tenant, e.id, e.product, e.event_type, e.created_at, e.subject, length(e.body) AS size
FROM :rows AS k JOIN unihooks.events AS e ON e.tenant = k.tenant AND e.id = k.id

-- The second one is for those that the first one has not found.
-- name: event_bodies, older_event_bodies
-- rows: tenant text, id text
-- columns: tenant, id, body
-- bytes: body
SELECT e.tenant, e.id, e.body FROM :rows AS k JOIN unihooks.events AS e ON e.tenant = k.tenant AND e.id = k.id

-- name: add_planned_deliveries
-- rows: tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text, subject text, rendering text
INSERT INTO unihooks.deliveries (
    state, due_at, token, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering
)
SELECT 'pending', CAST(:due_at AS bigint), CAST(:token AS bigint), CAST(:now AS bigint), r.* FROM :rows AS r WHERE true
ON CONFLICT DO NOTHING

-- For an event of which deliveries have been made, as by `recover`, and may have ended.
-- name: add_missing_deliveries
-- rows: tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text, subject text, rendering text
INSERT INTO unihooks.deliveries (
    state, due_at, token, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering
)
SELECT 'pending', CAST(:due_at AS bigint), CAST(:token AS bigint), CAST(:now AS bigint), r.* FROM :rows AS r
WHERE NOT EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d WHERE d.tenant = r.tenant AND d.id = r.id AND +d.state <> 'pending'
)
ON CONFLICT DO NOTHING

-- name: add_deliveries
-- rows: tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, replay_of, state, due_at, token, sequence, created_at
INSERT INTO unihooks.deliveries (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, replay_of, state, due_at,
    token, sequence, created_at
)
VALUES :rows
ON CONFLICT DO NOTHING RETURNING id

-- name: leased_deliveries
-- rows: tenant text, id text, token bigint
-- columns: id
SELECT d.id FROM :rows AS k JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id = k.id AND d.token = k.token
WHERE +d.state = 'pending'

-- name: set_aside
-- rows: tenant text, id text, error text
UPDATE unihooks.events AS e SET plan_error = k.error FROM :rows AS k WHERE e.tenant = k.tenant AND e.id = k.id

-- name: more_new_events
SELECT 1 FROM unihooks.new_events ORDER BY tenant, place LIMIT 1

-- name: due_among
-- columns: endpoint_id
SELECT endpoint_id FROM unihooks.lanes WHERE endpoint_id = ANY(:endpoints) AND next_due_at <= :now

-- name: waiting_lanes
-- columns: endpoint_id
SELECT endpoint_id FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND (not_before > :now OR pause_us IS NOT NULL)
