-- What is to be tried again is due last, and what has its turn later never (2^62).
-- name: deliveries_to_retry
SELECT nullif(d.status_code, 0), d.product, d.event_type, e.id
FROM unihooks.endpoints AS e CROSS JOIN LATERAL (
    SELECT p.status_code, p.product, p.event_type, p.attempt_count, p.created_at FROM unihooks.deliveries AS p
    WHERE p.endpoint_id = e.id AND p.state = 'pending' AND p.due_at < 4611686018427387904
    ORDER BY p.due_at DESC LIMIT :most
) AS d
WHERE e.webhook_id = :webhook AND d.attempt_count > 0 AND d.created_at >= :since
