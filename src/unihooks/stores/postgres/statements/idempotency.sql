-- Whoever clears away at the same time is left to it: so nobody waits in a circle.
-- name: forget_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers
    WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))
    FOR UPDATE SKIP LOCKED
)

-- name: find_answer
SELECT digest, status, content FROM unihooks.answers WHERE tenant = :tenant AND key = :key

-- name: reserve_answer
INSERT INTO unihooks.answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
ON CONFLICT (tenant, key) DO NOTHING

-- name: trim_answers
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT a.tenant, a.key FROM unihooks.answers AS a WHERE a.tenant = :tenant AND a.created_at < (
        SELECT created_at FROM unihooks.answers WHERE tenant = :tenant
        ORDER BY created_at DESC OFFSET CAST(:at_most AS integer) - 1 LIMIT 1
    )
    FOR UPDATE SKIP LOCKED
)

-- name: keep_answer
UPDATE unihooks.answers SET status = :status, content = :content WHERE tenant = :tenant AND key = :key

-- name: drop_answer
DELETE FROM unihooks.answers WHERE tenant = :tenant AND key = :key
