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

-- name: clear_keys
DELETE FROM unihooks.event_keys

-- name: forget_keys
WITH old AS (
    SELECT tenant, idempotency_key FROM unihooks.event_keys WHERE created_at < :older_than
    ORDER BY created_at, event_id LIMIT :limit FOR UPDATE SKIP LOCKED
)
DELETE FROM unihooks.event_keys AS k USING old WHERE k.tenant = old.tenant AND k.idempotency_key = old.idempotency_key

-- The time of a key is that of its event. Whoever emits with several keys locks them in this order, too.
-- name: drop_keys
-- rows: id text, created_at bigint
WITH old AS (
    SELECT e.tenant, e.idempotency_key FROM :rows AS k
    JOIN unihooks.event_keys AS e ON e.created_at = k.created_at AND e.event_id = k.id
    ORDER BY e.tenant, e.idempotency_key FOR UPDATE OF e
)
DELETE FROM unihooks.event_keys AS e USING old WHERE e.tenant = old.tenant AND e.idempotency_key = old.idempotency_key

-- name: erase_events
UPDATE unihooks.events SET body = :nothing, subject = NULL, plan_error = NULL WHERE tenant = :tenant AND id = ANY(:events)
