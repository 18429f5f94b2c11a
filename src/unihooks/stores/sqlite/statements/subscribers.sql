-- A webhook that was never active has no activated_at and wants nothing yet.

-- name: subscribers
-- columns: id, rendering, activated_at, activated_mark, deactivated_at, deactivated_mark, endpoints
SELECT id, rendering, activated_at, activated_mark, deactivated_at, deactivated_mark, coalesce((
    SELECT max(position) + 1 FROM main.unihooks_endpoints WHERE webhook_id = main.unihooks_webhooks.id
), 0) AS endpoints
FROM main.unihooks_webhooks WHERE activated_at IS NOT NULL AND id IN (
    SELECT webhook_id FROM main.unihooks_subscriptions
    WHERE tenant = :tenant AND product = :product AND event_type IN (:event_type, '*') AND webhook_id > :after
)
ORDER BY id LIMIT :limit
