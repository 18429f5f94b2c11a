-- name: tenants_failing_too_long
SELECT DISTINCT tenant FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND failing_since <= :since

-- name: add_hours
-- rows: endpoint_id, hour, attempts, delivered, failed, duration_us, up_to_50_ms, up_to_100_ms, up_to_250_ms, up_to_500_ms, up_to_1000_ms, up_to_2000_ms, up_to_5000_ms, up_to_10000_ms
INSERT INTO unihooks.hours AS h (
    endpoint_id, hour, attempts, delivered, failed, duration_us, up_to_50_ms, up_to_100_ms, up_to_250_ms,
    up_to_500_ms, up_to_1000_ms, up_to_2000_ms, up_to_5000_ms, up_to_10000_ms
)
VALUES :rows
ON CONFLICT (endpoint_id, hour) DO UPDATE SET
    attempts = h.attempts + excluded.attempts, delivered = h.delivered + excluded.delivered,
    failed = h.failed + excluded.failed, duration_us = h.duration_us + excluded.duration_us,
    up_to_50_ms = h.up_to_50_ms + excluded.up_to_50_ms, up_to_100_ms = h.up_to_100_ms + excluded.up_to_100_ms,
    up_to_250_ms = h.up_to_250_ms + excluded.up_to_250_ms, up_to_500_ms = h.up_to_500_ms + excluded.up_to_500_ms,
    up_to_1000_ms = h.up_to_1000_ms + excluded.up_to_1000_ms,
    up_to_2000_ms = h.up_to_2000_ms + excluded.up_to_2000_ms,
    up_to_5000_ms = h.up_to_5000_ms + excluded.up_to_5000_ms,
    up_to_10000_ms = h.up_to_10000_ms + excluded.up_to_10000_ms

-- name: lane_health
-- columns: endpoint_id, failing_since, failures, last_success_at, last_failure_at
SELECT endpoint_id, failing_since, failures, last_success_at, last_failure_at FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) ORDER BY endpoint_id FOR NO KEY UPDATE
