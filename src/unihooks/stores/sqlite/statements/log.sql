-- What waits, or is held, is found through the lanes: looking at all of a tenant would take longer.
-- name: lists_by_lane
SELECT 1

-- name: deliveries_of_webhook
SELECT d.id FROM main.unihooks_deliveries AS d WHERE d.webhook_id = :webhook_id
