-- name: lists_by_lane

-- None are counted, so that the statement for a webhook's deliveries is taken.
-- name: deliveries_of_webhook
SELECT d.id FROM unihooks.deliveries AS d WHERE d.webhook_id = :webhook_id AND false
