-- name: health_of_lanes
-- columns: webhook_id, id, failing_since, failures, last_success_at, last_failure_at, next_at
SELECT e.webhook_id, e.id, l.failing_since, l.failures, l.last_success_at, l.last_failure_at,
    CASE WHEN l.open THEN (
        SELECT d.due_at FROM main.unihooks_deliveries AS d
        WHERE d.endpoint_id = e.id AND d.state = 'pending' AND (d.token IS NULL OR d.due_at <= :now)
        ORDER BY d.due_at LIMIT 1
    ) END AS next_at
FROM json_each(:webhooks) AS k
CROSS JOIN main.unihooks_webhooks AS w ON w.id = k.value AND w.tenant = :tenant
CROSS JOIN main.unihooks_endpoints AS e ON e.webhook_id = w.id
CROSS JOIN main.unihooks_lanes AS l ON l.endpoint_id = e.id
ORDER BY e.webhook_id, e.position

-- name: newest_deliveries
-- columns: webhook_id, created_at, state
SELECT d.webhook_id, d.created_at, d.state FROM (
    SELECT (SELECT max(id) FROM main.unihooks_deliveries WHERE webhook_id = w.id) AS id
    FROM json_each(:webhooks) AS k
    CROSS JOIN main.unihooks_webhooks AS w ON w.id = k.value AND w.tenant = :tenant
) AS newest
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = :tenant AND d.id = newest.id

-- name: outcomes_by_hour
-- columns: webhook_id, hour, attempts, delivered, failed
SELECT e.webhook_id, h.hour, sum(h.attempts) AS attempts, sum(h.delivered) AS delivered, sum(h.failed) AS failed
FROM json_each(:webhooks) AS k
CROSS JOIN main.unihooks_webhooks AS w ON w.id = k.value AND w.tenant = :tenant
CROSS JOIN main.unihooks_endpoints AS e ON e.webhook_id = w.id
CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
GROUP BY e.webhook_id, h.hour ORDER BY e.webhook_id, h.hour

-- name: counts_by_hour
SELECT h.hour,
    sum(h.attempts), sum(h.delivered), sum(h.failed), sum(h.duration_us),
    sum(h.up_to_50_ms), sum(h.up_to_100_ms), sum(h.up_to_250_ms), sum(h.up_to_500_ms),
    sum(h.up_to_1000_ms), sum(h.up_to_2000_ms), sum(h.up_to_5000_ms), sum(h.up_to_10000_ms)
FROM main.unihooks_endpoints AS e
CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
WHERE e.webhook_id = :webhook
GROUP BY h.hour ORDER BY h.hour

-- name: failing_endpoints
SELECT l.tenant, l.webhook_id, w.name, l.endpoint_id, e.url, l.failing_since, l.failures
FROM (
    SELECT * FROM main.unihooks_lanes WHERE failing_since IS NOT NULL
    ORDER BY failing_since, endpoint_id LIMIT :limit
) AS l
CROSS JOIN main.unihooks_endpoints AS e ON e.id = l.endpoint_id
CROSS JOIN main.unihooks_webhooks AS w ON w.id = l.webhook_id
ORDER BY l.failing_since, l.endpoint_id

-- name: slowest_endpoints
WITH slow (id) AS (
    SELECT l.endpoint_id FROM main.unihooks_lanes AS l
    CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = l.endpoint_id AND h.hour >= :since
    GROUP BY l.endpoint_id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, l.endpoint_id LIMIT :limit
)
SELECT e.tenant, e.webhook_id, w.name, e.id, e.url,
    sum(h.attempts), sum(h.delivered), sum(h.failed), sum(h.duration_us),
    sum(h.up_to_50_ms), sum(h.up_to_100_ms), sum(h.up_to_250_ms), sum(h.up_to_500_ms),
    sum(h.up_to_1000_ms), sum(h.up_to_2000_ms), sum(h.up_to_5000_ms), sum(h.up_to_10000_ms)
FROM slow CROSS JOIN main.unihooks_endpoints AS e ON e.id = slow.id
CROSS JOIN main.unihooks_webhooks AS w ON w.id = e.webhook_id
CROSS JOIN main.unihooks_hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
GROUP BY e.id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, e.id

-- name: tenants
SELECT t.tenant, (SELECT count(*) FROM main.unihooks_webhooks AS w WHERE w.tenant = t.tenant), (
    SELECT count(*) FROM (
        SELECT 1 FROM main.unihooks_lanes AS l INDEXED BY unihooks_lanes_due_by_tenant
        CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
            ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= :now
        WHERE l.tenant = t.tenant AND l.open = 1 AND l.next_due_at IS NOT NULL AND l.next_due_at <= :now
        LIMIT :most
    )
)
FROM main.unihooks_tenants AS t WHERE true

-- name: queue_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE NOT l.open),
    json_group_array(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now)
FROM main.unihooks_lanes AS l
CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'

-- name: oldest_unplanned
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_events WHERE NOT planned AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL
)
SELECT min((
    SELECT created_at FROM main.unihooks_events
    WHERE tenant = turns.tenant AND NOT planned ORDER BY queued_at, id LIMIT 1
)) FROM turns WHERE tenant IS NOT NULL
