-- name: forget_workers
DELETE FROM unihooks.workers WHERE id IN (
    SELECT id FROM unihooks.workers WHERE seen_at < :before FOR UPDATE SKIP LOCKED
)

-- name: expire_held
WITH old AS (
    SELECT d.tenant, d.id FROM unihooks.lanes AS l
    JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE NOT l.open AND l.closed_at < :older_than AND d.created_at < :older_than
    LIMIT :limit FOR UPDATE OF d SKIP LOCKED
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = :reason
FROM old WHERE d.tenant = old.tenant AND d.id = old.id

-- name: old_events
SELECT e.tenant, e.id FROM unihooks.events AS e
WHERE e.planned AND e.created_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d WHERE d.event_id = e.id AND d.state = 'pending'
)
ORDER BY e.created_at LIMIT :limit FOR UPDATE SKIP LOCKED

-- name: events_still_pending
SELECT DISTINCT event_id FROM unihooks.deliveries
WHERE event_id = ANY(CAST(:events AS text[])) AND state = 'pending'

-- name: prune_attempts
DELETE FROM unihooks.attempts AS a USING unihooks.deliveries AS d
WHERE a.delivery_id = d.id AND d.event_id = ANY(:events)

-- name: prune_events
-- rows: tenant, id
DELETE FROM unihooks.events AS e USING json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
WHERE e.tenant = k.tenant AND e.id = k.id

-- name: prune_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers WHERE created_at < :older_than FOR UPDATE SKIP LOCKED
)

-- A delivery's rendering is one that its webhook had after its event was made. A webhook that takes one up again
-- writes its row, which is then left alone.
-- name: prune_renderings
DELETE FROM unihooks.renderings WHERE id IN (
    SELECT r.id FROM unihooks.renderings AS r
    WHERE r.kept_at < :older_than
      AND NOT EXISTS (SELECT 1 FROM unihooks.webhooks AS w WHERE w.rendering = r.id)
      AND NOT EXISTS (SELECT 1 FROM unihooks.events WHERE planned AND created_at < :older_than)
    FOR UPDATE OF r SKIP LOCKED
)

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
