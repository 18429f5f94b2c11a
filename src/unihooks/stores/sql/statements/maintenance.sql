-- name: remove_worker
DELETE FROM unihooks.workers WHERE id = :id

-- name: heartbeat
INSERT INTO unihooks.workers (id, host, pid, seen_at) VALUES (:id, :host, :pid, :now)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, seen_at = excluded.seen_at

-- name: prune_deliveries
DELETE FROM unihooks.deliveries WHERE event_id = ANY(:events)

-- name: prune_hours
DELETE FROM unihooks.hours WHERE hour < :hour

-- The log of an event that is left shows the URL of its endpoint, whether that still exists or not.
-- name: prune_former_endpoints
DELETE FROM unihooks.former_endpoints WHERE removed_at < :older_than AND NOT EXISTS (
    SELECT 1 FROM unihooks.events WHERE planned AND created_at < :older_than
)
