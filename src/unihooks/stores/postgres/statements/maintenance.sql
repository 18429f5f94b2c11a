-- name: forget_workers
DELETE FROM unihooks.workers WHERE id IN (
    SELECT id FROM unihooks.workers WHERE seen_at < :before FOR UPDATE SKIP LOCKED
)

-- name: remove_worker
DELETE FROM unihooks.workers WHERE id = :id

-- name: heartbeat
INSERT INTO unihooks.workers (id, host, pid, seen_at) VALUES (:id, :host, :pid, :now)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, seen_at = excluded.seen_at

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

-- name: prune_deliveries
DELETE FROM unihooks.deliveries WHERE event_id = ANY(:events)

-- name: prune_events
-- rows: tenant, id
DELETE FROM unihooks.events AS e USING json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text)
WHERE e.tenant = k.tenant AND e.id = k.id

-- name: prune_hours
DELETE FROM unihooks.hours WHERE hour < :hour

-- name: prune_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers WHERE created_at < :older_than FOR UPDATE SKIP LOCKED
)

-- The log of an event that is left shows the URL of its endpoint, whether that still exists or not.
-- name: prune_former_endpoints
DELETE FROM unihooks.former_endpoints WHERE removed_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM unihooks.events WHERE planned AND created_at < :older_than
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
