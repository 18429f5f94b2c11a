-- name: tenants_failing_too_long
SELECT DISTINCT tenant FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND failing_since <= :since

-- name: add_hours
-- rows: endpoint_id, hour, bucket, part, attempts, delivered, failed, duration_us
INSERT INTO unihooks.hours AS h (endpoint_id, hour, bucket, part, attempts, delivered, failed, duration_us)
VALUES :rows
ON CONFLICT (endpoint_id, hour, bucket, part) DO UPDATE SET
    attempts = h.attempts + excluded.attempts, delivered = h.delivered + excluded.delivered,
    failed = h.failed + excluded.failed, duration_us = h.duration_us + excluded.duration_us

-- name: lane_health
-- columns: endpoint_id, tenant, webhook_id, failing_since, failures, last_success_at, last_failure_at, outcomes, health, pause_us, probe_at, told_health, told_at
SELECT endpoint_id, tenant, webhook_id, failing_since, failures, last_success_at, last_failure_at, outcomes, health,
    pause_us, probe_at, told_health, told_at
FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) ORDER BY endpoint_id FOR NO KEY UPDATE

-- name: note_health
-- rows: endpoint_id text, health text, told_health text
UPDATE unihooks.lanes AS l SET health = news.health, told_health = news.told_health
FROM :rows AS news WHERE l.endpoint_id = news.endpoint_id

-- name: places
-- columns: id, tenant, webhook_id, name, url, description
SELECT e.id, e.tenant, e.webhook_id, w.name, e.url, e.description
FROM unihooks.endpoints AS e JOIN unihooks.webhooks AS w ON w.id = e.webhook_id
WHERE e.id = ANY(:endpoints)

-- The attempts of what was delivered now are not stored yet.
-- name: delivered_just_now
-- rows: tenant text, id text, number integer
-- columns: id
SELECT d.id FROM :rows AS k JOIN unihooks.deliveries AS d ON d.tenant = k.tenant AND d.id = k.id
WHERE +d.state = 'delivered' AND d.attempt_count = k.number AND NOT EXISTS (
    SELECT 1 FROM unihooks.attempts AS a WHERE a.delivery_id = d.id AND a.number = d.attempt_count
)

-- name: move_on
-- rows: tenant text, id text, endpoint_id text, state text, due_at bigint, number integer, first_at bigint, status_code smallint, reason text, webhook_id text
UPDATE unihooks.deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    status_code = CASE WHEN news.first_at IS NULL THEN d.status_code ELSE news.status_code END,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM unihooks.lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason
FROM :rows AS news WHERE d.tenant = news.tenant AND d.id = news.id AND +d.state = 'pending'

-- name: note_attempts
-- rows: tenant text, id text, number integer, first_at bigint, status_code smallint
UPDATE unihooks.deliveries AS d
SET token = NULL, attempt_count = news.number, first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    status_code = news.status_code
FROM :rows AS news WHERE d.tenant = news.tenant AND d.id = news.id AND +d.state = 'cancelled'

-- name: add_attempts
-- rows: delivery_id text, number integer, url text, started_at bigint, duration_us bigint, status_code integer, error text, request_headers text, response_headers text, response_body bytea, warnings text
-- bytes: response_body
INSERT INTO unihooks.attempts (
    delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers,
    response_body, warnings
)
SELECT r.* FROM :rows AS r

-- Where a success has ended a pause, what it has made wait goes on.
-- name: set_lanes
-- rows: endpoint_id text, failing_since bigint, failures bigint, last_success_at bigint, last_failure_at bigint, outcomes bigint, health text, told_health text, told_at bigint, pause_us bigint, probe_at bigint, is_relieved boolean, due_at bigint, not_before bigint
UPDATE unihooks.lanes AS l
SET failing_since = news.failing_since, failures = news.failures, last_success_at = news.last_success_at,
    last_failure_at = news.last_failure_at, outcomes = news.outcomes, health = news.health,
    told_health = news.told_health, told_at = news.told_at, pause_us = news.pause_us, probe_at = news.probe_at,
    ready_at = CASE WHEN NOT news.is_relieved THEN l.ready_at END,
    not_before = CASE WHEN news.is_relieved THEN news.not_before ELSE greatest(
        coalesce(l.not_before, news.not_before), coalesce(news.not_before, l.not_before)
    ) END,
    next_due_at = CASE WHEN coalesce(l.next_due_at, news.due_at) IS NOT NULL THEN greatest(
        least(coalesce(l.next_due_at, news.due_at), coalesce(news.due_at, l.next_due_at)),
        CASE WHEN news.is_relieved THEN 0 ELSE greatest(coalesce(l.not_before, 0), coalesce(l.ready_at, 0)) END,
        coalesce(news.not_before, 0)
    ) END
FROM :rows AS news WHERE l.endpoint_id = news.endpoint_id

-- name: cancelled_with_token
-- rows: tenant text, id text, token bigint, position integer, webhook_id text
-- columns: position
SELECT k.position FROM :rows AS k JOIN unihooks.deliveries AS d
    ON d.tenant = k.tenant AND d.id = k.id AND d.webhook_id = k.webhook_id AND d.token = k.token
WHERE +d.state = 'cancelled' FOR NO KEY UPDATE OF d
