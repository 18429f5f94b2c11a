-- The events stay for as long as this transaction lasts. A kind is a product and an event type, with a space between.
-- name: events_to_recover
-- columns: id, product, event_type
SELECT e.id, e.product, e.event_type FROM unihooks.events AS e
WHERE e.tenant = :tenant AND e.id > :after AND e.created_at >= :since AND e.created_at < :until AND length(e.body) > 0
  AND (e.product || ' ' || e.event_type = ANY(:kinds) OR e.product || ' *' = ANY(:kinds))
ORDER BY e.id LIMIT :limit FOR KEY SHARE OF e

-- name: deliveries_of_events
-- columns: event_id, endpoint_id, id, state, reason, rendering, attempt_count
SELECT d.event_id, d.endpoint_id, d.id, d.state, d.reason, d.rendering, d.attempt_count
FROM unihooks.deliveries AS d
WHERE d.event_id = ANY(:events) AND +d.webhook_id = :webhook_id ORDER BY d.id
