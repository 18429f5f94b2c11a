-- name: expire_held
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason WHERE (tenant, id) IN (
    SELECT d.tenant, d.id FROM main.unihooks_lanes AS l
    CROSS JOIN main.unihooks_deliveries AS d ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
    WHERE l.open = 0 AND l.closed_at < :older_than AND d.created_at < :older_than LIMIT :limit
)

-- name: prune_events
-- rows: tenant, id
DELETE FROM main.unihooks_events WHERE (tenant, id) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:rows)
)

-- name: lock_deliveries_to_erase
