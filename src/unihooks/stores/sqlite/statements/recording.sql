-- name: held_by_token
-- rows: tenant, id, token, position, webhook_id
-- columns: position
SELECT k.position FROM :rows AS k
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = k.tenant AND d.id = k.id
WHERE d.token = k.token AND +d.state = 'pending'

-- A lane that has just had another success stays as it is. The first one ends a pause. 2097151 are 20 successes, to which
-- more change nothing. Each endpoint has its count of successes in the same place.
-- name: note_success
UPDATE main.unihooks_lanes SET failing_since = NULL, failures = 0, last_success_at = :now, pause_us = NULL,
    probe_at = NULL,
    ready_at = CASE WHEN pause_us IS NULL THEN ready_at END,
    not_before = CASE WHEN pause_us IS NULL THEN not_before END,
    next_due_at = CASE WHEN pause_us IS NULL OR next_due_at IS NULL THEN next_due_at ELSE :now END,
    outcomes = CASE WHEN outcomes = 2097151 THEN 2097151 ELSE (
        SELECT CASE WHEN longer > 2097151 THEN (longer & 1048575) | 1048576 ELSE longer END FROM (
            SELECT (outcomes << min(c.value, 20)) | ((1 << min(c.value, 20)) - 1) AS longer
            FROM json_each(:endpoints) AS e CROSS JOIN json_each(:counts) AS c ON c.key = e.key
            WHERE e.value = endpoint_id
        )
    ) END
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND (
    failures > 0 OR failing_since IS NOT NULL OR pause_us IS NOT NULL OR outcomes <> 2097151 OR health <> 'healthy'
    OR last_success_at IS NULL OR last_success_at NOT BETWEEN :now - 1000000 AND :now
)
RETURNING endpoint_id, health

-- name: deliver
-- rows: tenant, id, token, number, webhook_id
-- list: id
UPDATE main.unihooks_deliveries SET state = 'delivered', token = NULL, attempt_count = :number, status_code = NULL, reason = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id)) AND token = :token AND +state = 'pending'
