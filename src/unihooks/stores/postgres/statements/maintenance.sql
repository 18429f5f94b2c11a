-- Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
-- name: lock_deliveries_to_erase
SELECT 1 FROM unihooks.deliveries WHERE event_id = ANY(:events) ORDER BY tenant, id FOR UPDATE
