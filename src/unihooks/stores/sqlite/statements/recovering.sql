-- name: events_to_recover
-- rows: product, event_type
-- columns: id, product, event_type
SELECT e.id, e.product, e.event_type FROM main.unihooks_events AS e
WHERE e.tenant = :tenant AND e.id > :after AND e.created_at >= :since AND e.created_at < :until AND length(e.body) > 0
  AND EXISTS (SELECT 1 FROM json_each(:rows) AS k WHERE e.product = json_extract(k.value, '$[0]')
              AND json_extract(k.value, '$[1]') IN (e.event_type, '*'))
ORDER BY e.id LIMIT :limit

-- name: deliveries_of_events
-- columns: event_id, endpoint_id, id, state, reason, rendering, attempt_count
SELECT d.event_id, d.endpoint_id, d.id, d.state, d.reason, d.rendering, d.attempt_count
FROM json_each(:events) AS k
CROSS JOIN main.unihooks_deliveries AS d ON d.event_id = k.value AND +d.webhook_id = :webhook_id
ORDER BY d.id
