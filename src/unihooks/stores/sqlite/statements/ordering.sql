-- name: first_new_events
-- rows: tenant, subject
-- groups: tenant, subject; id
SELECT json_group_array(json_array(json_extract(k.value, '$[0]'), json_extract(k.value, '$[1]'), (
    SELECT json_group_array(json_array(id)) FROM (
        SELECT coalesce(event_id, place) AS id FROM main.unihooks_new_events
        WHERE tenant = json_extract(k.value, '$[0]') AND subject = json_extract(k.value, '$[1]')
        ORDER BY emit_order, coalesce(event_id, place) LIMIT :most
    )
)))
FROM json_each(:rows) AS k

-- name: free_first
-- rows: tenant, endpoint_id, subject
UPDATE main.unihooks_deliveries AS d SET due_at = :now FROM (
    SELECT k.tenant AS its_tenant, (
        SELECT n.id FROM main.unihooks_deliveries AS n
        WHERE n.endpoint_id = k.endpoint_id AND n.subject = k.subject AND n.state = 'pending' AND n.sequence IS NOT NULL
        ORDER BY n.sequence LIMIT 1
    ) AS its_id FROM :rows AS k
) WHERE d.tenant = its_tenant AND d.id = its_id AND d.due_at = :never AND +d.state = 'pending'
RETURNING endpoint_id
