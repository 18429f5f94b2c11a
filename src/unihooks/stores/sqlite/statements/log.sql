-- The sign keeps SQLite from walking all of a tenant where the index of a webhook or an event will do.
-- name: delivery_ids_by_key
SELECT d.id FROM main.unihooks_deliveries AS d WHERE +d.tenant = :tenant

-- name: delivery_ids_of_type
SELECT d.id FROM main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_by_type
WHERE d.tenant = :tenant AND d.event_type = :event_type

-- name: failed_delivery_ids
SELECT d.id FROM main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_failed WHERE d.tenant = :tenant

-- name: failed_delivery_ids_of_webhook
SELECT d.id FROM main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_failed_by_webhook
WHERE +d.tenant = :tenant

-- What waits, or is held, is found through the lanes: looking at all of a tenant would take longer.
-- name: lists_by_lane
SELECT 1

-- name: pending_deliveries
SELECT d.id FROM main.unihooks_lanes AS l
CROSS JOIN main.unihooks_deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant AND d.tenant = :tenant

-- name: deliveries_of_webhook
SELECT d.id FROM main.unihooks_deliveries AS d WHERE d.webhook_id = :webhook_id
