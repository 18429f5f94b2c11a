-- Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
-- name: lock_deliveries_to_erase
-- rows: tenant text, id text, first text, last text
SELECT 1 FROM unihooks.deliveries WHERE (tenant, id) IN (
    SELECT d.tenant, d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
    UNION ALL
    SELECT d.tenant, d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL
) ORDER BY tenant, id FOR UPDATE
