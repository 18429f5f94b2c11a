-- name: expire_held
WITH old AS (
    SELECT d.tenant, d.id FROM unihooks.lanes AS l
    JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE NOT l.open AND l.closed_at < :older_than AND d.created_at < :older_than
    LIMIT :limit FOR UPDATE OF d SKIP LOCKED
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = :reason
FROM old WHERE d.tenant = old.tenant AND d.id = old.id

-- name: prune_events
-- rows: tenant, id
DELETE FROM unihooks.events AS e USING json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
WHERE e.tenant = k.tenant AND e.id = k.id

-- Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
-- name: lock_deliveries_to_erase
SELECT 1 FROM unihooks.deliveries WHERE event_id = ANY(:events) ORDER BY tenant, id FOR UPDATE
