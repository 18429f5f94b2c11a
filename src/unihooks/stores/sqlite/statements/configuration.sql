-- A write transaction excludes all others.
-- name: lock_jobs
SELECT 1

-- name: cancel_deliveries_of_endpoints
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND state = 'pending'
