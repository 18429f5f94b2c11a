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

-- A lane that has just had another success stays as it is. The first one ends a pause.
-- name: note_success
UPDATE main.unihooks_lanes SET failing_since = NULL, failures = 0, last_success_at = :now, pause_us = NULL,
    probe_at = NULL,
    ready_at = CASE WHEN pause_us IS NULL THEN ready_at END,
    not_before = CASE WHEN pause_us IS NULL THEN not_before END,
    next_due_at = CASE WHEN pause_us IS NULL OR next_due_at IS NULL THEN next_due_at ELSE :now END
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND (
    failures > 0 OR failing_since IS NOT NULL OR pause_us IS NOT NULL OR last_success_at IS NULL
    OR last_success_at NOT BETWEEN :now - 1000000 AND :now
)

-- name: deliver_all
-- rows: tenant, id, token, number

-- name: deliver
-- rows: tenant, id, token, number
-- list: id
UPDATE main.unihooks_deliveries SET state = 'delivered', token = NULL, attempt_count = :number, reason = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id)) AND token = :token AND +state = 'pending'
