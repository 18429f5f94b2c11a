-- name: prune_events
-- rows: tenant, id
DELETE FROM main.unihooks_events WHERE (tenant, id) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:rows)
)

-- name: lock_deliveries_to_erase
