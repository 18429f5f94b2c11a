-- The lock belongs to whose connection has taken it, until that ends.
-- name: become_listener
SELECT pg_try_advisory_lock(hashtextextended('unihooks listen ' || CAST(:schema AS text), 0))

-- It is asked for together with a look, and given back at once.
-- name: nobody_listens
SELECT pg_try_advisory_xact_lock_shared(hashtextextended('unihooks listen ' || CAST(:schema AS text), 0))

-- name: due_lanes_by_tenant
WITH RECURSIVE turns (tenant) AS (
    (SELECT tenant FROM unihooks.lanes
     WHERE open AND next_due_at IS NOT NULL AND tenant > :after ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT l.tenant FROM unihooks.lanes AS l
            WHERE l.open AND l.next_due_at IS NOT NULL AND l.tenant > turns.tenant ORDER BY l.tenant LIMIT 1)
    FROM turns WHERE turns.tenant IS NOT NULL
), served AS (SELECT tenant FROM turns WHERE tenant IS NOT NULL LIMIT :tenants)
SELECT served.tenant, due.endpoint_id, due.is_limited FROM served LEFT JOIN LATERAL (
    SELECT endpoint_id, coalesce(rate, in_flight_limit, deadline_us, pause_us) IS NOT NULL AS is_limited
    FROM unihooks.lanes AS l
    WHERE l.open AND l.tenant = served.tenant AND l.next_due_at <= :now AND l.slot >= :first AND l.slot < :end
    ORDER BY l.next_due_at LIMIT :each
) AS due ON true ORDER BY served.tenant

-- Rows of the queue are found one by one and told by their places: the plan is kept from when the queue was short, and
-- would else read it whole.

-- A row that another worker holds is skipped; one that it has just leased is looked at again, and not due.
-- name: due_deliveries
-- rows: endpoint_id text, share integer, turn integer
SELECT d.tenant, d.webhook_id, d.endpoint_id, d.id, d.event_id, d.product, d.event_type, d.subject, d.sequence,
    d.rendering, d.attempt_count, coalesce(:now - d.first_attempt_at - (l.held_total_us - d.held_base), 0)
FROM :rows AS k
JOIN unihooks.lanes AS l ON l.endpoint_id = k.endpoint_id AND l.open AND coalesce(l.not_before, 0) <= :now
    AND (coalesce(l.rate, l.in_flight_limit, l.deadline_us, l.pause_us) IS NULL OR :is_limited)
CROSS JOIN LATERAL (
    SELECT * FROM unihooks.deliveries
    WHERE endpoint_id = k.endpoint_id AND state = 'pending' AND due_at <= :now
    ORDER BY due_at LIMIT k.share FOR NO KEY UPDATE SKIP LOCKED
) AS d
ORDER BY k.turn, d.due_at

-- name: lease
-- rows: tenant text, id text, webhook_id text
UPDATE unihooks.deliveries_pending SET due_at = :until, token = :token WHERE ctid = ANY(ARRAY(
    SELECT found.ctid FROM :rows AS k CROSS JOIN LATERAL (
        SELECT ctid FROM unihooks.deliveries_pending
        WHERE tenant = k.tenant AND id = k.id AND webhook_id = k.webhook_id LIMIT 1
    ) AS found
))

-- Lanes are locked before their rows are looked at: what another transaction has added to them is then seen.
-- A lane is locked even where it stays: a claim that settles it meanwhile has to see the new rows.
-- name: lock_lanes
SELECT 1 FROM unihooks.lanes WHERE endpoint_id = ANY(CAST(:endpoints AS text[]))
ORDER BY endpoint_id FOR NO KEY UPDATE

-- name: settle_lanes
UPDATE unihooks.lanes AS l
SET next_due_at = CASE WHEN found.due_at < l.not_before THEN l.not_before ELSE found.due_at END FROM (
    SELECT k.endpoint_id, (
        SELECT d.due_at FROM unihooks.deliveries AS d
        WHERE d.endpoint_id = k.endpoint_id AND d.state = 'pending' ORDER BY d.due_at LIMIT 1
    ) AS due_at FROM unnest(CAST(:endpoints AS text[])) AS k (endpoint_id)
) AS found
WHERE l.endpoint_id = found.endpoint_id AND l.next_due_at IS DISTINCT FROM
    CASE WHEN found.due_at < l.not_before THEN l.not_before ELSE found.due_at END

-- name: release
-- rows: tenant text, id text, token bigint, webhook_id text
UPDATE unihooks.deliveries_pending SET due_at = :now, token = NULL WHERE ctid = ANY(ARRAY(
    SELECT held.ctid FROM :rows AS k CROSS JOIN LATERAL (
        SELECT ctid FROM unihooks.deliveries_pending
        WHERE tenant = k.tenant AND id = k.id AND webhook_id = k.webhook_id AND token = k.token FOR NO KEY UPDATE
    ) AS held
))
