-- name: forget_workers
DELETE FROM main.unihooks_workers WHERE seen_at < :before

-- name: expire_held
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason WHERE (tenant, id) IN (
    SELECT d.tenant, d.id FROM main.unihooks_lanes AS l
    CROSS JOIN main.unihooks_deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE l.open = 0 AND l.closed_at < :older_than AND d.created_at < :older_than LIMIT :limit
)

-- name: old_events
-- columns: tenant, id
SELECT e.tenant, e.id FROM main.unihooks_events AS e
WHERE e.planned AND e.created_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM main.unihooks_deliveries AS d WHERE d.event_id = e.id AND d.state = 'pending'
)
ORDER BY e.created_at LIMIT :limit

-- name: events_still_pending

-- name: prune_attempts
DELETE FROM main.unihooks_attempts WHERE delivery_id IN (
    SELECT id FROM main.unihooks_deliveries WHERE event_id IN (SELECT value FROM json_each(:events))
)

-- name: prune_events
-- rows: tenant, id
DELETE FROM main.unihooks_events WHERE (tenant, id) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:rows)
)

-- name: prune_answers
DELETE FROM main.unihooks_answers WHERE created_at < :older_than

-- A delivery's rendering is one that its webhook had after its event was made.
-- name: prune_renderings
DELETE FROM main.unihooks_renderings WHERE kept_at < :older_than
  AND NOT EXISTS (SELECT 1 FROM main.unihooks_webhooks AS w WHERE w.rendering = main.unihooks_renderings.id)
  AND NOT EXISTS (SELECT 1 FROM main.unihooks_events WHERE planned AND created_at < :older_than)

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
