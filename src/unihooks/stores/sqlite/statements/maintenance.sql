-- name: lock_deliveries_to_erase
-- rows: tenant text, id text, first text, last text

-- Keys are kept with their events.
-- name: clear_keys

-- name: forget_keys
UPDATE main.unihooks_events SET idempotency_key = NULL, digest = NULL WHERE rowid IN (
    SELECT rowid FROM main.unihooks_events WHERE idempotency_key IS NOT NULL AND created_at < :older_than
    ORDER BY created_at LIMIT :limit
)

-- name: drop_keys
-- rows: id, created_at

-- name: erase_events
UPDATE main.unihooks_events SET body = :nothing, subject = NULL, idempotency_key = NULL, digest = NULL, plan_error = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:events))
