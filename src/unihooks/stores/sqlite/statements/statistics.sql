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
