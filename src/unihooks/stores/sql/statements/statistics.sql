-- name: count_failing_endpoints
SELECT count(*) FROM unihooks.lanes AS l JOIN unihooks.endpoints AS e ON e.id = l.endpoint_id
WHERE l.health <> 'healthy' AND l.health = 'failing' AND e.state = 'enabled'

-- name: count_without_subject
SELECT coalesce(CAST(sum(without_subject) AS bigint), 0) FROM unihooks.lanes WHERE without_subject > 0

-- name: workers_seen
SELECT id, host, pid, seen_at FROM unihooks.workers WHERE seen_at >= :since ORDER BY id

-- name: health_of_lanes
-- columns: webhook_id, id, state, failures, failing_since, not_before, probe_at, last_success_at, last_failure_at, outcomes, next_at
SELECT e.webhook_id, e.id, e.state, l.failures, l.failing_since, l.not_before, l.probe_at, l.last_success_at,
    l.last_failure_at, l.outcomes, CASE WHEN l.open THEN (
        SELECT CASE WHEN d.due_at < l.not_before THEN l.not_before ELSE d.due_at END FROM unihooks.deliveries AS d
        WHERE d.endpoint_id = e.id AND d.state = 'pending' AND (d.token IS NULL OR d.due_at <= :now)
          AND d.due_at < 4611686018427387904
        ORDER BY d.due_at LIMIT 1
    ) END AS next_at
FROM unihooks.webhooks AS w
JOIN unihooks.endpoints AS e ON e.webhook_id = w.id
JOIN unihooks.lanes AS l ON l.endpoint_id = e.id
WHERE w.id = ANY(:webhooks) AND w.tenant = :tenant
ORDER BY e.webhook_id, e.position

-- `hour` and `slice` are now; those of the hour before that are past are not of the last 60 minutes.
-- name: counts_of_endpoints
-- columns: endpoint_id, of_hour, succeeded_of_hour, attempts, succeeded
SELECT c.endpoint_id,
    CAST(coalesce(sum(c.attempts) FILTER (WHERE c.is_new), 0) AS bigint) AS of_hour,
    CAST(coalesce(sum(c.delivered) FILTER (WHERE c.is_new), 0) AS bigint) AS succeeded_of_hour,
    CAST(sum(c.attempts) AS bigint) AS attempts, CAST(sum(c.delivered) AS bigint) AS succeeded
FROM (
    SELECT h.endpoint_id, h.attempts, h.delivered,
        h.part > 0 AND (h.hour = :hour OR (h.hour + 1 = :hour AND h.part - 1 - (h.part - 1) / 12 * 12 > :slice)) AS is_new
    FROM unihooks.hours AS h WHERE h.endpoint_id = ANY(:endpoints) AND h.hour >= :since
) AS c GROUP BY c.endpoint_id

-- name: newest_deliveries
-- columns: webhook_id, created_at, state
SELECT d.webhook_id, d.created_at, d.state FROM (
    SELECT (SELECT max(id) FROM unihooks.deliveries WHERE webhook_id = w.id) AS id
    FROM unihooks.webhooks AS w WHERE w.id = ANY(:webhooks) AND w.tenant = :tenant
) AS newest
JOIN unihooks.deliveries AS d ON d.tenant = :tenant AND d.id = newest.id

-- name: outcomes_by_hour
-- columns: webhook_id, hour, attempts, delivered, failed
SELECT e.webhook_id, h.hour, CAST(sum(h.attempts) AS bigint) AS attempts,
    CAST(sum(h.delivered) AS bigint) AS delivered, CAST(sum(h.failed) AS bigint) AS failed
FROM unihooks.webhooks AS w
JOIN unihooks.endpoints AS e ON e.webhook_id = w.id
JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
WHERE w.id = ANY(:webhooks) AND w.tenant = :tenant
GROUP BY e.webhook_id, h.hour ORDER BY e.webhook_id, h.hour

-- What an hour has put together, in part 0, counts with its first slice.
-- name: activity_by_slice
-- columns: hour, attempts, delivered, failed, slice
SELECT c.hour, CAST(sum(c.attempts) AS bigint) AS attempts, CAST(sum(c.delivered) AS bigint) AS delivered,
    CAST(sum(c.failed) AS bigint) AS failed, c.slice
FROM (
    SELECT h.hour, h.attempts, h.delivered, h.failed,
        CASE WHEN h.part > 0 THEN h.part - 1 - (h.part - 1) / 12 * 12 ELSE 0 END AS slice
    FROM unihooks.endpoints AS e JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= :hour
    WHERE e.webhook_id = :webhook
) AS c WHERE c.hour > :hour OR c.slice >= :slice
GROUP BY c.hour, c.slice ORDER BY c.hour, c.slice

-- name: activity_by_endpoint
-- columns: endpoint_id, bucket, attempts, delivered, failed, duration_us
SELECT c.endpoint_id, c.bucket, CAST(sum(c.attempts) AS bigint) AS attempts,
    CAST(sum(c.delivered) AS bigint) AS delivered, CAST(sum(c.failed) AS bigint) AS failed,
    CAST(sum(c.duration_us) AS bigint) AS duration_us
FROM (
    SELECT h.endpoint_id, h.bucket, h.hour, h.attempts, h.delivered, h.failed, h.duration_us,
        CASE WHEN h.part > 0 THEN h.part - 1 - (h.part - 1) / 12 * 12 ELSE 0 END AS slice
    FROM unihooks.endpoints AS e JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= :hour
    WHERE e.webhook_id = :webhook
) AS c WHERE c.hour > :hour OR c.slice >= :slice
GROUP BY c.endpoint_id, c.bucket ORDER BY c.endpoint_id

-- name: count_endpoints_of_webhook
SELECT count(*) FROM unihooks.endpoints AS e WHERE e.webhook_id = :webhook AND e.tenant = :tenant

-- name: failed_deliveries_of_webhook
-- columns: status_code, product, event_type
SELECT nullif(d.status_code, 0) AS status_code, d.product, d.event_type
FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_undelivered_by_webhook
WHERE d.webhook_id = :webhook AND d.state IN ('failed', 'cancelled') AND d.state = 'failed' AND d.id >= :first_id AND d.created_at >= :since
ORDER BY d.id DESC LIMIT :most

-- name: failing_endpoints
SELECT l.tenant, l.webhook_id, w.name, l.endpoint_id, e.url, l.failing_since, l.failures
FROM unihooks.lanes AS l
JOIN unihooks.endpoints AS e ON e.id = l.endpoint_id
JOIN unihooks.webhooks AS w ON w.id = l.webhook_id
WHERE l.health <> 'healthy' AND l.health = 'failing' AND e.state = 'enabled'
ORDER BY coalesce(l.failing_since, l.last_failure_at), l.endpoint_id LIMIT :limit

-- name: slowest_endpoints
WITH slow (id) AS (
    SELECT l.endpoint_id FROM unihooks.lanes AS l
    JOIN unihooks.hours AS h ON h.endpoint_id = l.endpoint_id AND h.hour >= :since
    GROUP BY l.endpoint_id ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, l.endpoint_id LIMIT :limit
)
SELECT e.tenant, e.webhook_id, w.name, e.id, e.url, CAST(sum(h.attempts) AS bigint), CAST(sum(h.duration_us) AS bigint)
FROM slow JOIN unihooks.endpoints AS e ON e.id = slow.id
JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
JOIN unihooks.hours AS h ON h.endpoint_id = e.id AND h.hour >= :since
GROUP BY e.id, w.name ORDER BY sum(h.duration_us) * 1.0 / sum(h.attempts) DESC, e.id

-- name: durations
-- columns: endpoint_id, bucket, attempts
SELECT endpoint_id, bucket, CAST(sum(attempts) AS bigint) AS attempts FROM unihooks.hours
WHERE endpoint_id = ANY(:endpoints) AND hour >= :since GROUP BY endpoint_id, bucket

-- What waits for a pause or a limit of its endpoint is due as well, as in queue_counts and backlog_counts.
-- name: tenants
SELECT t.tenant, (SELECT count(*) FROM unihooks.webhooks AS w WHERE w.tenant = t.tenant), (
    SELECT count(*) FROM (
        SELECT 1 FROM unihooks.lanes AS l INDEXED BY unihooks_lanes_due_by_tenant
        JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due
            ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= :now
        WHERE l.tenant = t.tenant AND l.open = true AND l.next_due_at IS NOT NULL
        LIMIT :most
    ) AS due
)
FROM unihooks.tenants AS t WHERE true

-- name: oldest_unplanned
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM unihooks.new_events
    UNION ALL
    SELECT (SELECT min(n.tenant) FROM unihooks.new_events AS n WHERE n.tenant > turns.tenant)
    FROM turns WHERE turns.tenant IS NOT NULL
)
SELECT min((
    SELECT e.created_at FROM unihooks.events AS e WHERE e.tenant = turns.tenant AND e.id = (
        SELECT coalesce(n.event_id, n.place) FROM unihooks.new_events AS n
        WHERE n.tenant = turns.tenant ORDER BY n.place LIMIT 1
    )
)) FROM turns WHERE turns.tenant IS NOT NULL

-- name: queue_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE NOT l.open),
    coalesce(CAST(json_agg(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now) AS text), '[]')
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
