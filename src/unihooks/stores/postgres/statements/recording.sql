-- Locked one by one in the order of the keys, which is that of ids: the same for everyone.
-- name: held_by_token
-- rows: tenant, id, token, position
SELECT k.position FROM json_to_recordset(CAST(:rows AS json))
    AS k (tenant text, id text, token bigint, position integer)
CROSS JOIN LATERAL (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = :state FOR NO KEY UPDATE
) AS held

-- name: deliver
-- rows: tenant, id, token, number
WITH held AS (
    SELECT k.tenant, k.id, k.number FROM json_to_recordset(CAST(:rows AS json))
        AS k (tenant text, id text, token bigint, number integer)
    CROSS JOIN LATERAL (
        SELECT 1 FROM unihooks.deliveries AS d
        WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = 'pending' FOR NO KEY UPDATE
    ) AS locked
)
UPDATE unihooks.deliveries AS d SET state = 'delivered', token = NULL, attempt_count = held.number, reason = NULL
FROM held WHERE d.tenant = held.tenant AND d.id = held.id

-- The attempts of what was delivered now are not stored yet.
-- name: delivered_just_now
-- rows: tenant, id, number
SELECT d.id FROM json_to_recordset(CAST(:rows AS json)) AS k (tenant text, id text, number integer)
JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id = k.id
WHERE d.state = 'delivered' AND d.attempt_count = k.number AND NOT EXISTS (
    SELECT 1 FROM unihooks.attempts AS a WHERE a.delivery_id = d.id AND a.number = d.attempt_count
)

-- name: move_on
-- rows: tenant, id, endpoint_id, state, due_at, number, first_at, reason
UPDATE unihooks.deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM unihooks.lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason
FROM json_to_recordset(CAST(:rows AS json)) AS news (tenant text, id text, endpoint_id text, state text,
    due_at bigint, number integer, first_at bigint, reason text)
WHERE d.tenant = news.tenant AND d.id = news.id

-- name: note_attempts
-- rows: tenant, id, number, first_at
UPDATE unihooks.deliveries AS d
SET token = NULL, attempt_count = news.number, first_attempt_at = coalesce(d.first_attempt_at, news.first_at)
FROM json_to_recordset(CAST(:rows AS json)) AS news (tenant text, id text, number integer, first_at bigint)
WHERE d.tenant = news.tenant AND d.id = news.id

-- name: add_attempts
-- rows: delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers, response_body, warnings
-- bytes: response_body
INSERT INTO unihooks.attempts (
    delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers,
    response_body, warnings
)
SELECT r.delivery_id, r.number, r.url, r.started_at, r.duration_us, r.status_code, r.error, r.request_headers,
    r.response_headers, substr(CAST(:response_body_all AS bytea), r.response_body_start, r.response_body_length),
    r.warnings
FROM json_to_recordset(CAST(:rows AS json)) AS r (delivery_id text, number integer, url text, started_at bigint,
    duration_us bigint, status_code integer, error text, request_headers text, response_headers text,
    response_body_start integer, response_body_length integer, warnings text)

-- name: set_lanes
-- rows: endpoint_id, failing_since, failures, last_success_at, last_failure_at, due_at
UPDATE unihooks.lanes AS l
SET failing_since = k.failing_since, failures = k.failures, last_success_at = k.last_success_at,
    last_failure_at = k.last_failure_at, next_due_at = least(l.next_due_at, k.due_at)
FROM json_to_recordset(CAST(:rows AS json)) AS k (endpoint_id text, failing_since bigint, failures bigint,
    last_success_at bigint, last_failure_at bigint, due_at bigint)
WHERE l.endpoint_id = k.endpoint_id
