-- name: subscribed_endpoints
-- columns: webhook_id, id, disabled_at
SELECT webhook_id, id, disabled_at FROM unihooks.endpoints
WHERE webhook_id = ANY(:webhooks) ORDER BY id
