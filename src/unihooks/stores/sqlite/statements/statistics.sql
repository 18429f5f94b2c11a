-- What is to be tried again is due last, and what has its turn later never (2^62).
-- name: deliveries_to_retry
SELECT nullif(d.status_code, 0), d.product, d.event_type, e.id
FROM main.unihooks_endpoints AS e CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = e.tenant AND d.id IN (
    SELECT p.id FROM main.unihooks_deliveries AS p INDEXED BY unihooks_deliveries_due
    WHERE p.endpoint_id = e.id AND p.state = 'pending' AND p.due_at < 4611686018427387904
    ORDER BY p.due_at DESC LIMIT :most
)
WHERE e.webhook_id = :webhook AND d.attempt_count > 0 AND d.created_at >= :since
