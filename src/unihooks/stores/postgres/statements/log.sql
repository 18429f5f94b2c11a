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
