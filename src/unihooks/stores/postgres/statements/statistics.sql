-- name: tenants
SELECT t.tenant, (SELECT count(*) FROM unihooks.webhooks AS w WHERE w.tenant = t.tenant), (
    SELECT count(*) FROM (
        SELECT 1 FROM unihooks.lanes AS l
        JOIN unihooks.deliveries AS d
            ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= :now
        WHERE l.tenant = t.tenant AND l.open AND l.next_due_at IS NOT NULL AND l.next_due_at <= :now
        LIMIT :most
    ) AS due
)
FROM unihooks.tenants AS t WHERE true

-- name: queue_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE NOT l.open),
    coalesce(CAST(json_agg(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now) AS text), '[]')
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'

-- name: oldest_unplanned
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.events WHERE NOT planned ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant FROM unihooks.events AS e
            WHERE NOT e.planned AND e.tenant > turns.tenant ORDER BY e.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
)
SELECT min((
    SELECT e.created_at FROM unihooks.events AS e
    WHERE e.tenant = turns.tenant AND NOT e.planned ORDER BY e.queued_at, e.id LIMIT 1
)) FROM turns WHERE tenant IS NOT NULL
