-- name: queue_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE NOT l.open),
    coalesce(CAST(json_agg(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now) AS text), '[]')
FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
