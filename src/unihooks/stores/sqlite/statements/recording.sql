-- name: held_by_token
-- rows: tenant, id, token, position
-- columns: position
SELECT k.position FROM :rows AS k
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = k.tenant AND d.id = k.id
WHERE d.token = k.token AND +d.state = 'pending'

-- name: cancelled_with_token
-- rows: tenant, id, token, position
-- columns: position
SELECT k.position FROM :rows AS k
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = k.tenant AND d.id = k.id
WHERE d.token = k.token AND +d.state = 'cancelled'

-- name: note_success
UPDATE main.unihooks_lanes SET failing_since = NULL, failures = 0, last_success_at = :now
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints))

-- name: deliver_all
-- rows: tenant, id, token, number

-- name: deliver
-- rows: tenant, id, token, number
-- list: id
UPDATE main.unihooks_deliveries SET state = 'delivered', token = NULL, attempt_count = :number, reason = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id)) AND token = :token AND +state = 'pending'
