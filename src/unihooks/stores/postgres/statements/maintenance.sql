-- name: prune_events
-- rows: tenant, id
DELETE FROM unihooks.events AS e USING json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
WHERE e.tenant = k.tenant AND e.id = k.id

-- Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
-- name: lock_deliveries_to_erase
SELECT 1 FROM unihooks.deliveries WHERE event_id = ANY(:events) ORDER BY tenant, id FOR UPDATE
