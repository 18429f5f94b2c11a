-- name: deliveries
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM unihooks.former_endpoints AS f WHERE f.id = d.endpoint_id), ''),
    d.state, coalesce(l.open, true), d.attempt_count, d.created_at, d.due_at, d.reason, d.replay_of
FROM unihooks.deliveries AS d
LEFT JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
WHERE d.tenant = :tenant AND d.id = ANY(:ids) ORDER BY d.id DESC

-- name: delivery_ids_by_key
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant

-- name: delivery_ids_of_type
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant

-- name: failed_delivery_ids
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant

-- name: failed_delivery_ids_of_webhook
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant

-- name: lists_by_lane

-- name: pending_deliveries
SELECT d.id FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant AND d.tenant = :tenant

-- None are counted, so that the statement for a webhook's deliveries is taken.
-- name: deliveries_of_webhook
SELECT d.id FROM unihooks.deliveries AS d WHERE d.webhook_id = :webhook_id AND false
