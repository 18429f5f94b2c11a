-- The events stay for as long as this transaction lasts.

-- name: events_to_recover
-- rows: product, event_type
SELECT e.id, e.product, e.event_type FROM unihooks.events AS e
WHERE e.tenant = :tenant AND e.id > :after AND e.created_at >= :since AND e.created_at < :until
  AND octet_length(e.body) > 0
  AND EXISTS (SELECT 1 FROM json_to_recordset(CAST(:rows AS json)) AS k (product text, event_type text)
              WHERE k.product = e.product AND k.event_type IN (e.event_type, '*'))
ORDER BY e.id LIMIT :limit FOR KEY SHARE OF e

-- name: deliveries_of_events
SELECT d.event_id, d.endpoint_id, d.id, d.state, d.reason, d.rendering, d.attempt_count
FROM unihooks.deliveries AS d
WHERE d.event_id = ANY(:events) AND d.webhook_id = :webhook_id ORDER BY d.id
