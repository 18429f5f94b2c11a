-- name: delivery_source
SELECT d.rendering, r.definition, e.body
FROM unihooks.deliveries AS d
JOIN unihooks.events AS e ON e.tenant = d.tenant AND e.id = d.event_id
LEFT JOIN unihooks.renderings AS r ON r.id = d.rendering
WHERE d.tenant = :tenant AND d.id = :id

-- The events stay for as long as this transaction lasts, so that none is pruned from under its new delivery.
-- name: deliveries_to_replay
-- columns: id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, state, attempt_count, has_endpoint, was_replayed, was_replayed_today, ordered, size, present
SELECT d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.subject, d.rendering, d.state,
    d.attempt_count, o.id IS NOT NULL AS has_endpoint, EXISTS (
        SELECT 1 FROM unihooks.deliveries AS r WHERE r.event_id = d.event_id AND r.endpoint_id = d.endpoint_id
        AND r.replay_of IS NOT NULL AND r.state IN ('pending', 'delivered')
    ) AS was_replayed, EXISTS (
        SELECT 1 FROM unihooks.deliveries AS r WHERE r.event_id = d.event_id AND r.endpoint_id = d.endpoint_id
        AND r.replay_of IS NOT NULL AND r.state IN ('pending', 'delivered')
        AND coalesce(r.rendering, '') = coalesce(w.rendering, '')
    ) AS was_replayed_today, coalesce(w.ordered, false) AS ordered, length(e.body) AS size, w.rendering AS present
FROM unihooks.deliveries AS d
JOIN unihooks.events AS e ON e.tenant = d.tenant AND e.id = d.event_id
LEFT JOIN unihooks.endpoints AS o ON o.id = d.endpoint_id
LEFT JOIN unihooks.webhooks AS w ON w.id = d.webhook_id
WHERE d.tenant = :tenant AND d.id = ANY(:ids) ORDER BY d.id FOR KEY SHARE OF e

-- The events stay for as long as this transaction lasts. A beginning is a product, a space, and an event type or what
-- it begins with; a whole event type ends in '!', which is a part of none.
-- name: events_to_recover
-- rows: beginning text
-- columns: id, product, event_type, subject
SELECT e.id, e.product, e.event_type, e.subject FROM unihooks.events AS e
WHERE e.tenant = :tenant AND e.id > :after AND e.id <= :last AND e.created_at >= :since AND e.created_at < :until
  AND length(e.body) > 0 AND EXISTS (
    SELECT 1 FROM :rows AS k
    WHERE substr(e.product || ' ' || e.event_type || '!', 1, length(k.beginning)) = k.beginning
  )
ORDER BY e.id LIMIT :limit FOR KEY SHARE OF e

-- name: event_at_distance
SELECT id FROM unihooks.events WHERE tenant = :tenant AND id > :after AND id <= :last
ORDER BY id LIMIT 1 OFFSET :distance

-- name: count_events_to_recover
-- rows: beginning text
SELECT count(*) FROM (
    SELECT 1 FROM unihooks.events AS e
    WHERE e.tenant = :tenant AND e.id > :after AND e.id <= :last AND e.created_at >= :since AND e.created_at < :until
      AND length(e.body) > 0 AND EXISTS (
        SELECT 1 FROM :rows AS k
        WHERE substr(e.product || ' ' || e.event_type || '!', 1, length(k.beginning)) = k.beginning
      )
    LIMIT :limit
) AS found

-- Whoever plans these events has ended, or finds by the sign that deliveries have been made of them. One that is sent to
-- the end of the queue meanwhile is there for the second statement.
-- name: note_recovered
UPDATE unihooks.new_events SET plan_cursor = '!' || plan_cursor
WHERE tenant = :tenant AND place = ANY(:events) AND substr(plan_cursor, 1, 1) <> '!'

-- name: note_recovered_again
UPDATE unihooks.new_events SET plan_cursor = '!' || plan_cursor
WHERE tenant = :tenant AND event_id = ANY(:events) AND substr(plan_cursor, 1, 1) <> '!'

-- A replay is newer than its original, whichever clocks their ids are from.
-- name: deliveries_of_events
-- rows: tenant text, id text, first text, last text
-- columns: event_id, endpoint_id, id, state, reason, rendering, attempt_count
SELECT d.event_id, d.endpoint_id, d.id AS id, d.state, d.reason, d.rendering, d.attempt_count, 0 AS is_replay
FROM :rows AS k
JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id > k.first AND d.id < k.last AND d.event_id = k.id
WHERE +d.webhook_id = :webhook_id AND d.replay_of IS NULL
UNION ALL
SELECT d.event_id, d.endpoint_id, d.id AS id, d.state, d.reason, d.rendering, d.attempt_count, 1 AS is_replay
FROM :rows AS k JOIN unihooks.deliveries AS d ON d.event_id = k.id AND d.replay_of IS NOT NULL
WHERE +d.webhook_id = :webhook_id
ORDER BY is_replay, id
