-- name: chain_ends
-- rows: tenant text, endpoint_id text, subject text
-- columns: tenant, endpoint_id, subject, last
SELECT k.tenant, k.endpoint_id, k.subject, (
    SELECT d.sequence FROM unihooks.deliveries AS d
    WHERE d.endpoint_id = k.endpoint_id AND d.subject = k.subject AND d.state = 'pending' AND d.sequence IS NOT NULL
    ORDER BY d.sequence DESC LIMIT 1
) AS last FROM :rows AS k

-- One that `recover` has made may have ended.
-- name: add_ordered_deliveries
-- rows: tenant text, id text, event_id text, webhook_id text, endpoint_id text, product text, event_type text, subject text, rendering text, sequence bigint
INSERT INTO unihooks.deliveries (
    state, due_at, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering,
    sequence
)
SELECT 'pending', CAST(:never AS bigint), CAST(:now AS bigint), r.* FROM :rows AS r
WHERE NOT EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d WHERE d.tenant = r.tenant AND d.id = r.id AND +d.state <> 'pending'
)
ON CONFLICT DO NOTHING

-- name: add_without_subject
-- rows: endpoint_id text, added bigint
UPDATE unihooks.lanes AS l SET without_subject = l.without_subject + k.added FROM :rows AS k
WHERE l.endpoint_id = k.endpoint_id

-- name: chain_of_delivery
SELECT tenant, endpoint_id, subject FROM unihooks.deliveries
WHERE tenant = :tenant AND id = :id AND state = 'pending' AND sequence IS NOT NULL

-- The originals of an event lie between two ids; its replays have an index.
-- name: chains_of_events
-- rows: tenant text, id text, first text, last text
-- columns: tenant, endpoint_id, subject
SELECT d.tenant, d.endpoint_id, d.subject FROM :rows AS k
JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
WHERE +d.state = 'pending' AND d.sequence IS NOT NULL
UNION
SELECT d.tenant, d.endpoint_id, d.subject FROM :rows AS k
JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL
WHERE +d.state = 'pending' AND d.sequence IS NOT NULL
