-- name: tenants_failing_too_long
SELECT DISTINCT tenant FROM unihooks.lanes
WHERE endpoint_id = ANY(:endpoints) AND failing_since <= :since
