-- name: events
SELECT e.id, e.tenant, e.product, e.event_type, e.body, e.created_at, e.subject FROM unihooks.events AS e
WHERE e.tenant = :tenant

-- name: events_of_subject
SELECT e.id, e.tenant, e.product, e.event_type, e.body, e.created_at, e.subject
FROM unihooks.events AS e INDEXED BY unihooks_events_by_subject
WHERE e.tenant = :tenant AND e.subject = :subject

-- name: attempts
SELECT 'att_' || substr(a.delivery_id, 5) || '_' || a.number, a.delivery_id, a.number, a.url, a.started_at,
    a.duration_us, a.status_code, a.error, a.request_headers, a.response_headers, a.response_body, a.warnings
FROM unihooks.attempts AS a WHERE a.delivery_id = :delivery_id

-- name: cancel_delivery
UPDATE unihooks.deliveries SET state = 'cancelled', reason = :reason
WHERE tenant = :tenant AND id = :id AND state = 'pending'

-- The statements that find the ids of deliveries differ in their index alone. The sign keeps SQLite from walking all
-- of a tenant where the index of a webhook will do.
-- name: delivery_ids
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant

-- name: deliveries_of_webhook
SELECT d.id FROM unihooks.deliveries AS d WHERE d.webhook_id = :webhook_id

-- name: delivery_ids_by_key
SELECT d.id FROM unihooks.deliveries AS d WHERE +d.tenant = :tenant

-- name: delivery_ids_of_event
SELECT d.id FROM (
    SELECT o.* FROM unihooks.deliveries AS o
    WHERE o.tenant = :tenant AND o.id > :first_of_event AND o.id < :last_of_event AND o.event_id = :event_id
      AND o.replay_of IS NULL
    UNION ALL
    SELECT r.* FROM unihooks.deliveries AS r
    WHERE r.event_id = :event_id AND r.replay_of IS NOT NULL AND +r.tenant = :tenant
) AS d WHERE true

-- name: delivery_ids_of_type
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_by_type
WHERE d.tenant = :tenant AND d.event_type = :event_type

-- name: delivery_ids_of_subject
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_by_subject
WHERE d.tenant = :tenant AND d.subject = :subject

-- name: undelivered_ids
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_undelivered
WHERE d.tenant = :tenant AND d.state IN ('failed', 'cancelled')

-- name: undelivered_ids_of_webhook
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_undelivered_by_webhook
WHERE +d.tenant = :tenant AND d.state IN ('failed', 'cancelled')

-- name: refused_delivery_ids
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_refused
WHERE d.tenant = :tenant AND d.status_code IS NOT NULL

-- What was delivered has the status code of its last attempt there alone.
-- name: was_accepted_with
SELECT 1 FROM unihooks.attempts AS a WHERE a.delivery_id = d.id AND a.number = d.attempt_count
AND a.status_code BETWEEN :lowest_code AND :highest_code

-- name: replayed_delivery_ids
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_replayed
WHERE +d.tenant = :tenant AND d.replay_of IS NOT NULL

-- name: delivery_ids_of_subjects
SELECT d.id FROM unihooks.deliveries AS d INDEXED BY unihooks_deliveries_by_subject
WHERE d.tenant = :tenant AND d.subject >= :subject_first AND d.subject < :subject_last

-- name: endpoints_searched
SELECT known.webhook_id, known.id FROM (
    SELECT e.webhook_id, e.id, lower(e.url) AS url FROM unihooks.webhooks AS w
    JOIN unihooks.endpoints AS e ON e.webhook_id = w.id WHERE w.tenant = :tenant
    UNION
    SELECT f.webhook_id, f.id, lower(f.url) FROM unihooks.former_endpoints AS f WHERE f.tenant = :tenant
) AS known
WHERE strpos(known.url, :url) = 1 OR strpos(known.url, 'https://' || :url) = 1 OR strpos(known.url, 'http://' || :url) = 1
    OR strpos(known.webhook_id, :id) = 1

-- name: pending_deliveries
SELECT d.id FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant AND d.tenant = :tenant

-- name: closed_lane
SELECT 1 FROM unihooks.lanes AS l WHERE l.endpoint_id = d.endpoint_id AND NOT l.open

-- name: endpoints_of_webhook
SELECT o.id FROM unihooks.endpoints AS o WHERE o.webhook_id = :webhook_id

-- name: webhook_of_endpoint
SELECT webhook_id FROM unihooks.endpoints WHERE id = :id

-- The ids of the attempts' deliveries stand there again, so that PostgreSQL opens their days alone.
-- name: deliveries
-- columns: id, tenant, event_id, webhook_id, endpoint_id, product, event_type, url, state, held, attempt_count, created_at, next_attempt_at, reason, replay_of, subject, status_code, duration_us, policy, due_at, is_taken, is_inactive, is_disabled, disabled_reason, not_before, probe_at, failures, ready_at, rate, in_flight_limit
SELECT d.id, d.tenant, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type,
    coalesce(e.url, (SELECT f.url FROM unihooks.former_endpoints AS f WHERE f.id = d.endpoint_id), '') AS url,
    d.state, d.state = 'pending' AND NOT coalesce(l.open, true) AS held, d.attempt_count, d.created_at,
    CASE WHEN d.state <> 'pending' OR d.due_at = 4611686018427387904 THEN NULL
    WHEN d.due_at < l.not_before THEN l.not_before ELSE d.due_at END AS next_attempt_at, d.reason, d.replay_of, d.subject,
    coalesce(a.status_code, nullif(d.status_code, 0)) AS status_code, a.duration_us, w.policy, d.due_at,
    d.token IS NOT NULL AS is_taken, coalesce(w.status, '') = 'inactive' AS is_inactive,
    coalesce(e.state, '') = 'disabled' AS is_disabled, e.disabled_reason, l.not_before, l.probe_at, l.failures, l.ready_at,
    l.rate, l.in_flight_limit
FROM unihooks.deliveries AS d
LEFT JOIN unihooks.endpoints AS e ON e.id = d.endpoint_id
LEFT JOIN unihooks.lanes AS l ON l.endpoint_id = d.endpoint_id
LEFT JOIN unihooks.webhooks AS w ON w.id = d.webhook_id
LEFT JOIN unihooks.attempts AS a
    ON a.delivery_id = d.id AND a.number = d.attempt_count AND +a.delivery_id = ANY(:ids)
WHERE d.tenant = :tenant AND d.id = ANY(:ids) ORDER BY d.id DESC
