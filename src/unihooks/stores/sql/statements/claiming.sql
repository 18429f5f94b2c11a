-- name: work
SELECT EXISTS (SELECT 1 FROM unihooks.new_events WHERE place < :before ORDER BY tenant, place LIMIT 1), (
    SELECT next_due_at FROM unihooks.lanes WHERE open = true AND next_due_at IS NOT NULL ORDER BY next_due_at LIMIT 1
), (
    SELECT next_due_at FROM unihooks.lanes
    WHERE open = true AND next_due_at IS NOT NULL AND slot >= :first AND slot < :end ORDER BY next_due_at LIMIT 1
), EXISTS (SELECT 1 FROM unihooks.jobs WHERE ended_at IS NULL ORDER BY tenant LIMIT 1)

-- name: due_lanes
-- columns: endpoint_id, tenant
SELECT endpoint_id, tenant FROM unihooks.lanes
WHERE open = true AND next_due_at <= :now AND slot >= :first AND slot < :end ORDER BY next_due_at LIMIT :limit

-- name: lower_lanes
-- rows: endpoint_id text, due_at bigint
UPDATE unihooks.lanes AS l SET next_due_at = greatest(k.due_at, coalesce(l.not_before, 0)) FROM :rows AS k
WHERE l.endpoint_id = k.endpoint_id
    AND (l.next_due_at IS NULL OR l.next_due_at > greatest(k.due_at, coalesce(l.not_before, 0)))
