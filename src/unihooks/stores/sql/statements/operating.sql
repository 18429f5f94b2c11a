-- What an operator looks at.

-- A lane that is paused, or waits for its rate, is due later than its deliveries.
-- name: oldest_due
SELECT min(next_due_at) FROM unihooks.lanes WHERE open = true AND next_due_at IS NOT NULL

-- name: note_queue_age
INSERT INTO unihooks.queue_ages AS q (slot, age_us) VALUES (:slot, :age_us)
ON CONFLICT (slot) DO UPDATE SET age_us = excluded.age_us WHERE q.age_us < excluded.age_us

-- name: forget_queue_ages
DELETE FROM unihooks.queue_ages WHERE slot < :before

-- name: queue_ages
SELECT slot, age_us FROM unihooks.queue_ages WHERE slot >= :since ORDER BY slot

-- name: add_totals
-- rows: hour bigint, tenant text, delivered bigint, failed bigint
INSERT INTO unihooks.totals AS t (hour, tenant, delivered, failed)
SELECT k.hour, k.tenant, k.delivered, k.failed FROM :rows AS k WHERE true
ON CONFLICT (hour, tenant) DO UPDATE SET
    delivered = t.delivered + excluded.delivered, failed = t.failed + excluded.failed

-- name: forget_totals
DELETE FROM unihooks.totals WHERE hour < :before

-- name: erase_totals
DELETE FROM unihooks.totals WHERE tenant = :tenant

-- name: throughput
SELECT t.hour, CAST(sum(t.delivered + t.failed) AS bigint), CAST(sum(t.delivered) AS bigint),
    CAST(sum(t.failed) AS bigint)
FROM unihooks.totals AS t WHERE t.hour >= :since GROUP BY t.hour ORDER BY t.hour

-- name: failures_by_tenant
SELECT t.tenant, CAST(sum(t.delivered + t.failed) AS bigint), CAST(sum(t.failed) AS bigint)
FROM unihooks.totals AS t
WHERE t.hour >= :since GROUP BY t.tenant HAVING sum(t.failed) > 0 ORDER BY sum(t.failed) DESC, t.tenant LIMIT :limit

-- name: backlog_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE l.open AND d.due_at > :now AND d.token IS NOT NULL),
    count(*) FILTER (WHERE l.open AND d.due_at > :now AND d.token IS NULL),
    count(*) FILTER (WHERE NOT l.open),
    min(d.due_at) FILTER (WHERE l.open AND d.due_at <= :now)
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant

-- name: new_events_of_tenant
SELECT n.place FROM unihooks.new_events AS n WHERE n.tenant = :tenant

-- name: oldest_unplanned_of_tenant
SELECT (
    SELECT e.created_at FROM unihooks.events AS e WHERE e.tenant = :tenant AND e.id = (
        SELECT coalesce(n.event_id, n.place) FROM unihooks.new_events AS n
        WHERE n.tenant = :tenant ORDER BY n.place LIMIT 1
    )
)

-- name: deliveries_held_by_workers
SELECT d.token, d.id, d.tenant, d.webhook_id, d.endpoint_id, e.url, d.product, d.event_type, d.attempt_count, d.due_at
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at > :now AND d.token IS NOT NULL
JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
ORDER BY d.due_at, d.id LIMIT :limit
