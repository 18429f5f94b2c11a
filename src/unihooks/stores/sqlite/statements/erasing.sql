-- name: next_events_to_erase
-- columns: id, created_at, size
SELECT id, created_at, length(body) AS size FROM main.unihooks_events WHERE tenant = :tenant AND id > :after
ORDER BY id LIMIT :limit

-- name: events_to_erase
-- columns: id, created_at, size
SELECT e.id, e.created_at, length(e.body) AS size FROM json_each(:events) AS k
CROSS JOIN main.unihooks_events AS e ON e.tenant = :tenant AND e.id = k.value

-- name: lock_deliveries_to_erase

-- name: erase_events
UPDATE main.unihooks_events
SET body = x'', idempotency_key = NULL, digest = NULL, planned = true, plan_error = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:events))

-- name: erase_attempts
UPDATE main.unihooks_attempts
SET request_headers = '[]', response_headers = '[]', response_body = x'', warnings = '[]'
WHERE delivery_id IN (
    SELECT id FROM main.unihooks_deliveries WHERE event_id IN (SELECT value FROM json_each(:events))
)

-- What was cancelled may still be under way while it has a token; its attempt is not to be kept.
-- A rendering that failed may have quoted the event in its reason.
-- name: erase_deliveries
UPDATE main.unihooks_deliveries SET
    token = NULL,
    reason = CASE WHEN state = 'pending' OR (state = 'failed' AND attempt_count = 0) THEN :reason ELSE reason END,
    state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END
WHERE event_id IN (SELECT value FROM json_each(:events))
  AND (+state = 'pending' OR (+state = 'failed' AND attempt_count = 0) OR token IS NOT NULL)

-- name: forget_keys
UPDATE main.unihooks_events SET idempotency_key = NULL, digest = NULL WHERE rowid IN (
    SELECT rowid FROM main.unihooks_events
    WHERE idempotency_key IS NOT NULL AND created_at < :older_than ORDER BY created_at LIMIT :limit
)
