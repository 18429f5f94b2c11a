-- Few keys stand for all chains: a transaction has as many locks at the most.
-- name: lock_chains
-- rows: tenant text, endpoint_id text, subject text
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' order '
        || (hashtextextended(k.endpoint_id || ' ' || k.subject, 0) & 255), 0) AS key
    FROM :rows AS k ORDER BY 1
) AS keys

-- name: first_new_events
-- rows: tenant text, subject text
SELECT k.tenant, k.subject, n.id FROM :rows AS k CROSS JOIN LATERAL (
    SELECT emit_order, coalesce(event_id, place) AS id FROM unihooks.new_events
    WHERE tenant = k.tenant AND subject = k.subject ORDER BY emit_order, coalesce(event_id, place) LIMIT :most
) AS n ORDER BY k.tenant, k.subject, n.emit_order, n.id

-- name: free_first
-- rows: tenant text, endpoint_id text, subject text
UPDATE unihooks.deliveries_pending SET due_at = :now WHERE ctid = ANY(ARRAY(
    SELECT first.ctid FROM :rows AS k CROSS JOIN LATERAL (
        SELECT ctid, due_at FROM unihooks.deliveries_pending
        WHERE endpoint_id = k.endpoint_id AND subject = k.subject AND sequence IS NOT NULL ORDER BY sequence LIMIT 1
    ) AS first WHERE first.due_at = :never
)) RETURNING endpoint_id
