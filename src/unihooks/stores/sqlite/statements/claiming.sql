-- name: due_lanes_by_tenant
-- columns: tenant, endpoint_id, is_limited
WITH RECURSIVE turns (tenant) AS (
    SELECT min(tenant) FROM main.unihooks_lanes WHERE open = 1 AND next_due_at IS NOT NULL AND tenant > :after
    UNION ALL
    SELECT (SELECT min(tenant) FROM main.unihooks_lanes
            WHERE open = 1 AND next_due_at IS NOT NULL AND tenant > turns.tenant)
    FROM turns WHERE tenant IS NOT NULL LIMIT :tenants
)
SELECT turns.tenant, l.endpoint_id, coalesce(l.rate, l.in_flight_limit, l.deadline_us, l.pause_us) IS NOT NULL AS is_limited
FROM turns LEFT JOIN main.unihooks_lanes AS l ON l.endpoint_id IN (
    SELECT d.endpoint_id FROM main.unihooks_lanes AS d
    WHERE d.open = 1 AND d.tenant = turns.tenant AND d.next_due_at <= :now AND d.slot >= :first AND d.slot < :end
    ORDER BY d.next_due_at LIMIT :each
)
WHERE turns.tenant IS NOT NULL

-- name: due_deliveries
-- rows: endpoint_id, share, turn
-- groups: tenant, webhook_id, endpoint_id; id, event_id, product, event_type, subject, sequence, rendering, attempt_count, elapsed
SELECT json_group_array(json_array(l.tenant, l.webhook_id, l.endpoint_id, (
    SELECT json_group_array(json_array(
        id, event_id, product, event_type, subject, sequence, rendering, attempt_count,
        coalesce(:now - first_attempt_at - (l.held_total_us - held_base), 0)
    )) FROM (
        SELECT * FROM main.unihooks_deliveries
        WHERE endpoint_id = l.endpoint_id AND state = 'pending' AND due_at <= :now ORDER BY due_at LIMIT :share
    )
)))
FROM json_each(:rows) AS k
CROSS JOIN main.unihooks_lanes AS l
    ON l.endpoint_id = json_extract(k.value, '$[0]') AND l.open = 1 AND coalesce(l.not_before, 0) <= :now
    AND (coalesce(l.rate, l.in_flight_limit, l.deadline_us, l.pause_us) IS NULL OR :is_limited)

-- name: lease
-- rows: tenant, id, webhook_id
-- list: id
UPDATE main.unihooks_deliveries SET due_at = :until, token = :token
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id))

-- name: settle_lanes
UPDATE main.unihooks_lanes SET next_due_at = max(coalesce(not_before, 0), (
    SELECT min(due_at) FROM main.unihooks_deliveries
    WHERE endpoint_id = main.unihooks_lanes.endpoint_id AND state = 'pending'
)) WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints))

-- name: release
-- rows: tenant, id, token, webhook_id
-- list: id
UPDATE main.unihooks_deliveries SET due_at = :now, token = NULL
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:id)) AND token = :token AND +state = 'pending'
