-- name: queue_counts
SELECT
    count(*) FILTER (WHERE l.open AND d.due_at <= :now),
    count(*) FILTER (WHERE NOT l.open),
    json_group_array(d.token) FILTER (WHERE d.token IS NOT NULL AND d.due_at > :now)
FROM main.unihooks_lanes AS l
CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
