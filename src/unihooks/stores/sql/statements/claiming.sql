-- name: work
SELECT EXISTS (SELECT 1 FROM unihooks.new_events WHERE place < :before ORDER BY tenant, place LIMIT 1), (
    SELECT next_due_at FROM unihooks.lanes WHERE open = true AND next_due_at IS NOT NULL ORDER BY next_due_at LIMIT 1
), (
    SELECT next_due_at FROM unihooks.lanes
    WHERE open = true AND next_due_at IS NOT NULL AND slot >= :first AND slot < :end ORDER BY next_due_at LIMIT 1
), EXISTS (SELECT 1 FROM unihooks.jobs WHERE ended_at IS NULL ORDER BY tenant LIMIT 1)

-- name: due_lanes
-- columns: endpoint_id, tenant, is_limited
SELECT endpoint_id, tenant, coalesce(rate, in_flight_limit, deadline_us, pause_us) IS NOT NULL AS is_limited
FROM unihooks.lanes
WHERE open = true AND next_due_at <= :now AND slot >= :first AND slot < :end ORDER BY next_due_at LIMIT :limit

-- name: lower_lanes
-- rows: endpoint_id text, due_at bigint
UPDATE unihooks.lanes AS l
SET next_due_at = greatest(k.due_at, coalesce(l.not_before, 0), coalesce(l.ready_at, 0)) FROM :rows AS k
WHERE l.endpoint_id = k.endpoint_id AND (
    l.next_due_at IS NULL OR l.next_due_at > greatest(k.due_at, coalesce(l.not_before, 0), coalesce(l.ready_at, 0))
)

-- All in one order, and before any delivery, so nobody waits in a circle.
-- name: limited_lanes
-- columns: endpoint_id, rate, burst, in_flight_limit, deadline_us, tokens, refilled_at, ready_at, leased_until, is_paused
SELECT endpoint_id, rate, burst, in_flight_limit, deadline_us, tokens, refilled_at, ready_at, leased_until,
    pause_us IS NOT NULL AS is_paused
FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND open = true AND next_due_at <= :now
ORDER BY endpoint_id FOR NO KEY UPDATE

-- Leases are told from retries by their tokens, and none lies beyond the bound.
-- name: count_leases
-- rows: endpoint_id text, leased_until bigint
-- columns: endpoint_id, leases, first_end
SELECT k.endpoint_id, count(*) AS leases, min(d.due_at) AS first_end FROM :rows AS k
JOIN unihooks.deliveries AS d ON d.endpoint_id = k.endpoint_id AND d.state = 'pending'
    AND d.due_at > :now AND d.due_at <= k.leased_until AND d.token IS NOT NULL
GROUP BY k.endpoint_id

-- name: settle_limited
-- rows: endpoint_id text, tokens double precision, refilled_at bigint, ready_at bigint, leased_until bigint
UPDATE unihooks.lanes AS l
SET tokens = k.tokens, refilled_at = k.refilled_at, ready_at = k.ready_at, leased_until = k.leased_until,
    next_due_at = (
        SELECT greatest(d.due_at, coalesce(l.not_before, 0), coalesce(k.ready_at, 0)) FROM (
            SELECT due_at FROM unihooks.deliveries
            WHERE endpoint_id = l.endpoint_id AND state = 'pending' ORDER BY due_at LIMIT 1
        ) AS d
    )
FROM :rows AS k WHERE l.endpoint_id = k.endpoint_id

-- The lease of a probe that is under way ends at ready_at. What was not sent gives its token back.
-- name: free_lanes
-- rows: endpoint_id text, unused integer
UPDATE unihooks.lanes AS l
SET ready_at = NULL, tokens = CASE WHEN l.tokens + k.unused > l.burst THEN l.burst ELSE l.tokens + k.unused END
FROM :rows AS k WHERE l.endpoint_id = k.endpoint_id AND (l.pause_us IS NULL OR NOT EXISTS (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at = l.ready_at AND d.token IS NOT NULL
))
