-- Whoever plans, replays or recovers these events has ended, or has to wait.
-- name: next_events_to_erase
SELECT id, created_at, octet_length(body) FROM unihooks.events WHERE tenant = :tenant AND id > :after
ORDER BY id LIMIT :limit FOR UPDATE

-- name: events_to_erase
SELECT id, created_at, octet_length(body) FROM unihooks.events
WHERE tenant = :tenant AND id = ANY(CAST(:events AS text[])) ORDER BY id FOR UPDATE

-- Locked before attempts are looked at: a result that is being recorded is in by then, and none comes later.
-- name: lock_deliveries_to_erase
SELECT 1 FROM unihooks.deliveries WHERE event_id = ANY(:events) ORDER BY tenant, id FOR UPDATE

-- name: erase_events
UPDATE unihooks.events SET body = '', idempotency_key = NULL, digest = NULL, planned = true, plan_error = NULL
WHERE tenant = :tenant AND id = ANY(:events)

-- name: erase_attempts
UPDATE unihooks.attempts AS a SET request_headers = '[]', response_headers = '[]', response_body = '', warnings = '[]'
FROM unihooks.deliveries AS d WHERE d.event_id = ANY(:events) AND a.delivery_id = d.id

-- What was cancelled may still be under way while it has a token; its attempt is not to be kept.
-- A rendering that failed may have quoted the event in its reason.
-- name: erase_deliveries
UPDATE unihooks.deliveries SET
    token = NULL,
    reason = CASE WHEN state = 'pending' OR (state = 'failed' AND attempt_count = 0) THEN :reason ELSE reason END,
    state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END
WHERE event_id = ANY(:events)
  AND (state = 'pending' OR (state = 'failed' AND attempt_count = 0) OR token IS NOT NULL)

-- name: forget_keys
WITH old AS (
    SELECT tenant, id FROM unihooks.events WHERE idempotency_key IS NOT NULL AND created_at < :older_than
    ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE unihooks.events AS e SET idempotency_key = NULL, digest = NULL
FROM old WHERE e.tenant = old.tenant AND e.id = old.id
