-- name: forget_keys
UPDATE main.unihooks_events SET idempotency_key = NULL, digest = NULL WHERE rowid IN (
    SELECT rowid FROM main.unihooks_events WHERE idempotency_key IS NOT NULL AND created_at < :older_than
    ORDER BY created_at LIMIT :limit
)

-- name: erase_events
UPDATE main.unihooks_events SET body = :nothing, subject = NULL, idempotency_key = NULL, digest = NULL, plan_error = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:events))
