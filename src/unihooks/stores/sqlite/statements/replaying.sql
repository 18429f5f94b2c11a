-- name: deliveries_to_replay
-- columns: id, event_id, webhook_id, endpoint_id, product, event_type, rendering, state, attempt_count, has_endpoint, size
SELECT d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.rendering, d.state, d.attempt_count,
    o.id IS NOT NULL AS has_endpoint, length(e.body) AS size
FROM main.unihooks_deliveries AS d
JOIN main.unihooks_events AS e ON e.tenant = d.tenant AND e.id = d.event_id
LEFT JOIN main.unihooks_endpoints AS o ON o.id = d.endpoint_id
WHERE d.tenant = :tenant AND d.id IN (SELECT value FROM json_each(:ids)) ORDER BY d.id
