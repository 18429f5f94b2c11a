-- name: remove_worker
DELETE FROM unihooks.workers WHERE id = :id

-- name: heartbeat
INSERT INTO unihooks.workers (id, host, pid, seen_at) VALUES (:id, :host, :pid, :now)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, seen_at = excluded.seen_at

-- name: rank
SELECT count(*) FILTER (WHERE id < :id), count(*) FROM unihooks.workers WHERE seen_at >= :since

-- name: prune_hours
DELETE FROM unihooks.hours WHERE hour < :hour

-- The log of an event that is left shows the URL of its endpoint, whether that still exists or not.
-- name: prune_former_endpoints
DELETE FROM unihooks.former_endpoints WHERE removed_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM unihooks.events WHERE created_at < :older_than
)

-- name: forget_workers
DELETE FROM unihooks.workers WHERE id IN (
    SELECT id FROM unihooks.workers WHERE seen_at < :before FOR UPDATE SKIP LOCKED
)

-- name: old_events
-- columns: tenant, id, created_at
SELECT e.tenant, e.id, e.created_at FROM unihooks.events AS e
WHERE e.created_at >= :after AND e.created_at < :older_than
  AND NOT EXISTS (SELECT 1 FROM unihooks.new_events AS n WHERE n.tenant = e.tenant AND n.place = e.id)
  AND NOT EXISTS (SELECT 1 FROM unihooks.new_events AS n WHERE n.tenant = e.tenant AND n.event_id = e.id)
ORDER BY e.created_at LIMIT :limit OFFSET :skip FOR UPDATE OF e SKIP LOCKED

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
      AND NOT EXISTS (SELECT 1 FROM unihooks.events WHERE created_at < :older_than)
    FOR UPDATE OF r SKIP LOCKED
)

-- Whoever replays or recovers these events has ended, or has to wait.
-- name: next_events_to_erase
-- columns: id, created_at, size
SELECT id, created_at, length(body) AS size FROM unihooks.events
WHERE tenant = :tenant AND id > :after AND id < :end ORDER BY id LIMIT :limit FOR UPDATE

-- name: events_of_subject_to_erase
-- columns: id, created_at, size
SELECT id, created_at, length(body) AS size FROM unihooks.events
WHERE tenant = :tenant AND subject = :subject AND id > :after ORDER BY id LIMIT :limit FOR UPDATE

-- name: events_to_erase
-- columns: id, created_at, size
SELECT id, created_at, length(body) AS size FROM unihooks.events
WHERE tenant = :tenant AND id = ANY(:events) ORDER BY id FOR UPDATE

-- Whoever plans these events has ended, or finds them no more. One that is sent to the end of the queue meanwhile is
-- there for the second statement.
-- name: erase_new_events
DELETE FROM unihooks.new_events WHERE tenant = :tenant AND place = ANY(:events)

-- name: erase_new_events_again
DELETE FROM unihooks.new_events WHERE tenant = :tenant AND event_id = ANY(:events)

-- The first deliveries of an event lie between two ids; its replays have an index.
-- name: events_still_pending
-- rows: tenant text, id text, first text, last text
-- columns: id
SELECT k.id FROM :rows AS k
WHERE EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d WHERE d.tenant = k.tenant AND d.id > k.first AND d.id < k.last
    AND d.event_id = k.id AND +d.state = 'pending'
) OR EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.event_id = k.id AND d.replay_of IS NOT NULL AND +d.state = 'pending'
)

-- All their originals lie between the lowest and the highest id, which leaves few days to look in. Replays lie anywhere
-- later, and are few.
-- name: prune_attempts
-- rows: tenant text, id text, first text, last text
DELETE FROM unihooks.attempts WHERE delivery_id > :lowest AND delivery_id < :highest AND delivery_id IN (
    SELECT d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
    WHERE d.id > :lowest AND d.id < :highest
)

-- name: prune_deliveries
-- rows: tenant text, id text, first text, last text
DELETE FROM unihooks.deliveries WHERE id > :lowest AND id < :highest AND (tenant, id) IN (
    SELECT d.tenant, d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
    WHERE d.id > :lowest AND d.id < :highest
)

-- name: replays_of_events
-- rows: tenant text, id text, first text, last text
-- columns: tenant, id
SELECT d.tenant, d.id FROM :rows AS k JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL

-- name: prune_attempts_of_replays
-- rows: tenant text, id text
DELETE FROM unihooks.attempts WHERE delivery_id IN (SELECT k.id FROM :rows AS k)

-- name: prune_replays
-- rows: tenant text, id text
DELETE FROM unihooks.deliveries WHERE (tenant, id) IN (SELECT k.tenant, k.id FROM :rows AS k)

-- name: erase_attempts
-- rows: tenant text, id text, first text, last text
UPDATE unihooks.attempts
SET request_headers = '[]', response_headers = '[]', response_body = :nothing, warnings = '[]'
WHERE delivery_id IN (
    SELECT d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
    UNION ALL
    SELECT d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL
)

-- What was cancelled may still be under way while it has a token; its attempt is not to be kept.
-- A rendering that failed may have quoted the event in its reason.
-- name: erase_deliveries
-- rows: tenant text, id text, first text, last text
UPDATE unihooks.deliveries SET
    token = NULL,
    subject = NULL,
    reason = CASE WHEN state = 'pending' OR (state = 'failed' AND attempt_count = 0) THEN :reason ELSE reason END,
    state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END
WHERE (tenant, id) IN (
    SELECT d.tenant, d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
    UNION ALL
    SELECT d.tenant, d.id FROM :rows AS k
    JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL
)
  AND (state = 'pending' OR (state = 'failed' AND attempt_count = 0) OR token IS NOT NULL OR subject IS NOT NULL)

-- name: expire_held
WITH old (its_tenant, its_id) AS (
    SELECT d.tenant, d.id FROM unihooks.lanes AS l
    JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE l.open = false AND l.closed_at < :older_than AND d.created_at < :older_than
    LIMIT :limit FOR UPDATE OF d SKIP LOCKED
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = :reason
FROM old WHERE d.tenant = its_tenant AND d.id = its_id AND +d.state = 'pending'
RETURNING tenant, endpoint_id, subject, sequence

-- name: prune_events
-- rows: tenant text, id text
DELETE FROM unihooks.events
WHERE id >= :lowest AND id <= :highest AND (tenant, id) IN (SELECT k.tenant, k.id FROM :rows AS k)

-- name: clock_steps
SELECT clock_steps, clock_at FROM unihooks.store

-- name: note_clock
UPDATE unihooks.store SET clock_at = :now WHERE clock_at IS NULL OR clock_at < :now

-- name: count_clock_step
UPDATE unihooks.store SET clock_steps = clock_steps + 1, clock_at = :now WHERE clock_steps = :counted

-- Leases, too: what remains of them, and of the time until a retry, stays as it is.
-- name: set_back_deliveries
UPDATE unihooks.deliveries SET due_at = due_at - :back
WHERE state = 'pending' AND due_at > :now AND due_at < :never AND endpoint_id IN (SELECT endpoint_id FROM unihooks.lanes)

-- name: set_back_jobs
UPDATE unihooks.jobs SET next_at = next_at - :back WHERE next_at > :now

-- name: set_back_lanes
UPDATE unihooks.lanes SET next_due_at = next_due_at - :back, not_before = not_before - :back,
    probe_at = probe_at - :back, ready_at = ready_at - :back, refilled_at = refilled_at - :back,
    leased_until = leased_until - :back
WHERE next_due_at > :now OR not_before > :now OR ready_at > :now OR refilled_at > :now

-- Whatever is counted later for these hours is put to them another time.
-- name: take_parts
DELETE FROM unihooks.hours WHERE (endpoint_id, hour, bucket, part) IN (
    SELECT endpoint_id, hour, bucket, part FROM unihooks.hours
    WHERE part > 0 AND hour < :before LIMIT :limit FOR UPDATE SKIP LOCKED
) RETURNING endpoint_id, hour, bucket, attempts, delivered, failed, duration_us

-- name: take_parts_of_endpoints
DELETE FROM unihooks.hours WHERE endpoint_id = ANY(:endpoints) AND part > 0
RETURNING endpoint_id, hour, bucket, attempts, delivered, failed, duration_us
