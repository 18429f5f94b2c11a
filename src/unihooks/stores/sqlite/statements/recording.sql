-- name: held_by_token
-- rows: tenant, id, token, position
-- columns: position
SELECT k.column4 AS position FROM (VALUES :rows) AS k
CROSS JOIN main.unihooks_deliveries AS d ON d.tenant = k.column1 AND d.id = k.column2
WHERE d.token = k.column3 AND +d.state = :state

-- name: deliver
-- rows: tenant, id, token, number
-- list: id
UPDATE main.unihooks_deliveries SET state = 'delivered', token = NULL, attempt_count = :number, reason = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id)) AND token = :token AND +state = 'pending'

-- The attempts of what was delivered now are not stored yet.
-- name: delivered_just_now
-- rows: tenant, id, number
-- columns: id
SELECT d.id FROM json_each(:rows) AS k
CROSS JOIN main.unihooks_deliveries AS d
    ON d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
WHERE +d.state = 'delivered' AND d.attempt_count = json_extract(k.value, '$[2]') AND NOT EXISTS (
    SELECT 1 FROM main.unihooks_attempts AS a WHERE a.delivery_id = d.id AND a.number = d.attempt_count
)

-- name: move_on
-- rows: tenant, id, endpoint_id, state, due_at, number, first_at, reason
WITH news (tenant, id, endpoint_id, state, due_at, number, first_at, reason) AS (VALUES :rows)
UPDATE main.unihooks_deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM main.unihooks_lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason
FROM news WHERE d.tenant = news.tenant AND d.id = news.id

-- name: note_attempts
-- rows: tenant, id, number, first_at
WITH news (tenant, id, number, first_at) AS (VALUES :rows)
UPDATE main.unihooks_deliveries AS d
SET token = NULL, attempt_count = news.number, first_attempt_at = coalesce(d.first_attempt_at, news.first_at)
FROM news WHERE d.tenant = news.tenant AND d.id = news.id

-- name: add_attempts
-- rows: delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers, response_body, warnings
-- bytes: response_body
INSERT INTO main.unihooks_attempts (
    delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers,
    response_body, warnings
)
VALUES :rows

-- name: set_lanes
-- rows: endpoint_id, failing_since, failures, last_success_at, last_failure_at, due_at
WITH news (endpoint_id, failing_since, failures, last_success_at, last_failure_at, due_at) AS (VALUES :rows)
UPDATE main.unihooks_lanes AS l
SET failing_since = news.failing_since, failures = news.failures, last_success_at = news.last_success_at,
    last_failure_at = news.last_failure_at,
    next_due_at = min(coalesce(l.next_due_at, news.due_at), coalesce(news.due_at, l.next_due_at))
FROM news WHERE l.endpoint_id = news.endpoint_id
