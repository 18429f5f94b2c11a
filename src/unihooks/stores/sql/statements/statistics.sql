-- name: count_failing_endpoints
SELECT count(*) FROM unihooks.lanes WHERE failing_since IS NOT NULL

-- name: workers_seen
SELECT id, host, pid, seen_at FROM unihooks.workers WHERE seen_at >= :since ORDER BY id
