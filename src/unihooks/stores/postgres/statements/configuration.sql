-- Changes of a tenant's configuration exclude one another and whatever makes deliveries for it: what
-- planning inserts for an endpoint is then there before the endpoint goes, or not made at all.

-- name: lock_configuration
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM unnest(CAST(:tenants AS text[])) AS t (tenant) ORDER BY 1
) AS keys

-- name: share_configuration
SELECT pg_advisory_xact_lock_shared(key) FROM (
    SELECT DISTINCT hashtextextended((SELECT store_id FROM unihooks.store) || ' ' || tenant, 0) AS key
    FROM unnest(CAST(:tenants AS text[])) AS t (tenant) ORDER BY 1
) AS keys

-- name: lock_replays
SELECT pg_advisory_xact_lock(
    hashtextextended((SELECT store_id FROM unihooks.store) || ' replays ' || CAST(:tenant AS text), 0)
)

-- name: lock_state
SELECT pg_advisory_xact_lock(hashtextextended(
    (SELECT store_id FROM unihooks.store) || ' state ' || CAST(:tenant AS text) || ' ' || CAST(:owner AS text), 0
))

-- name: lock_jobs
SELECT pg_try_advisory_xact_lock(hashtextextended((SELECT store_id FROM unihooks.store) || ' jobs', 0))

-- Deliveries before lanes, and each in the order of ids: all transactions lock in this order.
-- name: cancel_deliveries_of_endpoints
WITH found AS MATERIALIZED (
    SELECT tenant, id, webhook_id FROM unihooks.deliveries WHERE endpoint_id = ANY(:endpoints) AND state = 'pending'
), gone AS (
    SELECT d.tenant, d.id, d.webhook_id FROM (SELECT * FROM found ORDER BY tenant, id) AS k CROSS JOIN LATERAL (
        SELECT tenant, id, webhook_id FROM unihooks.deliveries
        WHERE tenant = k.tenant AND id = k.id AND webhook_id = k.webhook_id AND state = 'pending' FOR NO KEY UPDATE
    ) AS d
)
UPDATE unihooks.deliveries AS d SET state = 'cancelled', reason = :reason
FROM gone WHERE d.tenant = gone.tenant AND d.id = gone.id AND d.webhook_id = gone.webhook_id AND d.state = 'pending'
