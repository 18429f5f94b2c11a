-- A write transaction excludes all others.
-- name: lock_jobs
SELECT 1

-- name: cancel_deliveries_of_endpoints
UPDATE main.unihooks_deliveries SET state = 'cancelled', reason = :reason
WHERE endpoint_id IN (SELECT value FROM json_each(:endpoints)) AND state = 'pending'

-- name: trim_answers
DELETE FROM main.unihooks_answers WHERE rowid IN (
    SELECT rowid FROM main.unihooks_answers WHERE tenant = :tenant
    ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET :at_most
)
