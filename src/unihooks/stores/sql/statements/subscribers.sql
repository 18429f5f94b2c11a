-- name: subscribed_endpoints
-- columns: webhook_id, id, disabled_at
SELECT webhook_id, id, disabled_at FROM unihooks.endpoints
WHERE webhook_id = ANY(:webhooks) ORDER BY id

-- A webhook that was never active has no activated_at and wants nothing yet.
-- name: subscribers
-- columns: id, rendering, policy, ordered, activated_at, activated_mark, deactivated_at, deactivated_mark, endpoints
SELECT id, rendering, policy, ordered, activated_at, activated_mark, deactivated_at, deactivated_mark, coalesce((
    SELECT max(position) + 1 FROM unihooks.endpoints AS e WHERE e.webhook_id = w.id
), 0) AS endpoints
FROM unihooks.webhooks AS w WHERE activated_at IS NOT NULL AND id IN (
    SELECT webhook_id FROM unihooks.subscriptions
    WHERE tenant = :tenant AND product = :product AND event_type = ANY(:event_types) AND webhook_id > :after
)
ORDER BY id LIMIT :limit

-- name: conditions_of_subscribers
-- columns: webhook_id, conditions
SELECT webhook_id, conditions FROM unihooks.subscriptions
WHERE tenant = :tenant AND product = :product AND event_type = ANY(:event_types) AND webhook_id = ANY(:webhooks)
ORDER BY webhook_id, position
