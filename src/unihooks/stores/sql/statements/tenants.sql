-- Whoever records one of these has ended, or finds it no more.
-- name: next_deliveries_of_tenant
-- columns: id
SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant AND d.id > :after
ORDER BY d.id LIMIT :limit FOR UPDATE

-- The bounds leave few days to look in.
-- name: erase_attempts_of_deliveries
-- rows: id text
DELETE FROM unihooks.attempts AS a
WHERE +a.delivery_id >= :lowest AND +a.delivery_id <= :highest AND a.delivery_id IN (SELECT k.id FROM :rows AS k)

-- name: erase_deliveries_of_tenant
-- rows: id text
DELETE FROM unihooks.deliveries AS d
WHERE d.tenant = :tenant AND +d.id >= :lowest AND +d.id <= :highest AND d.id IN (SELECT k.id FROM :rows AS k)

-- name: former_endpoints_of_tenant
SELECT id FROM unihooks.former_endpoints WHERE tenant = :tenant LIMIT :limit

-- name: erase_hours
DELETE FROM unihooks.hours WHERE endpoint_id = ANY(:endpoints)

-- name: erase_former_endpoints
DELETE FROM unihooks.former_endpoints WHERE id = ANY(:endpoints)

-- name: erase_answers
DELETE FROM unihooks.answers WHERE tenant = :tenant

-- A tenant of the same name begins with a version that no cache knows of this one.
-- name: pass_versions
UPDATE unihooks.store SET first_version = greatest(first_version, 1 + (
    SELECT t.config_version FROM unihooks.tenants AS t WHERE t.tenant = :tenant
)) WHERE EXISTS (SELECT 1 FROM unihooks.tenants AS t WHERE t.tenant = :tenant)

-- name: forget_tenant
DELETE FROM unihooks.tenants
WHERE tenant = :tenant AND NOT EXISTS (SELECT 1 FROM unihooks.webhooks AS w WHERE w.tenant = :tenant)

-- name: unused_renderings
-- columns: id, kept_at
SELECT r.id, r.kept_at FROM unihooks.renderings AS r
WHERE NOT EXISTS (SELECT 1 FROM unihooks.webhooks AS w WHERE w.rendering = r.id)
  AND r.id NOT IN (SELECT DISTINCT d.rendering FROM unihooks.deliveries AS d WHERE d.rendering IS NOT NULL)

-- A webhook that has taken one up since has written its row, which is then left alone.
-- name: erase_renderings
-- rows: id text, kept_at bigint
DELETE FROM unihooks.renderings WHERE (id, kept_at) IN (SELECT k.id, k.kept_at FROM :rows AS k)
  AND NOT EXISTS (SELECT 1 FROM unihooks.webhooks AS w WHERE w.rendering = unihooks.renderings.id)

-- name: count_pending
SELECT count(*) FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due ON d.endpoint_id = l.endpoint_id AND d.state = 'pending'
WHERE l.tenant = :tenant

-- name: span_of_events
SELECT count(*), min(n.id), max(n.id), (SELECT min(e.id) FROM unihooks.events AS e WHERE e.tenant = :tenant)
FROM (SELECT e.id FROM unihooks.events AS e WHERE e.tenant = :tenant ORDER BY e.id DESC LIMIT :most) AS n

-- name: span_of_deliveries
SELECT count(*), min(n.id), max(n.id), (SELECT min(d.id) FROM unihooks.deliveries AS d WHERE d.tenant = :tenant)
FROM (SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant ORDER BY d.id DESC LIMIT :most) AS n

-- name: size_of_newest_events
SELECT count(*), CAST(coalesce(sum(length(n.body)), 0) AS bigint) FROM (
    SELECT e.body FROM unihooks.events AS e WHERE e.tenant = :tenant ORDER BY e.id DESC LIMIT :most
) AS n

-- name: size_of_newest_attempts
SELECT count(DISTINCT n.id), count(a.number), CAST(coalesce(sum(
    length(a.url) + length(a.request_headers) + length(a.response_headers) + length(a.response_body)
), 0) AS bigint)
FROM (SELECT d.id FROM unihooks.deliveries AS d WHERE d.tenant = :tenant ORDER BY d.id DESC LIMIT :most) AS n
LEFT JOIN unihooks.attempts AS a ON a.delivery_id = n.id

-- name: erase_jobs
DELETE FROM unihooks.jobs WHERE tenant = :tenant
