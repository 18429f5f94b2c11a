-- name: forget_answers
DELETE FROM main.unihooks_answers
WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))

-- name: find_answer
SELECT digest, status, content FROM main.unihooks_answers WHERE tenant = :tenant AND key = :key

-- name: reserve_answer
INSERT INTO main.unihooks_answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
ON CONFLICT (tenant, key) DO NOTHING

-- name: trim_answers
DELETE FROM main.unihooks_answers WHERE rowid IN (
    SELECT rowid FROM main.unihooks_answers WHERE tenant = :tenant
    ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET :at_most
)

-- name: keep_answer
UPDATE main.unihooks_answers SET status = :status, content = :content WHERE tenant = :tenant AND key = :key

-- name: drop_answer
DELETE FROM main.unihooks_answers WHERE tenant = :tenant AND key = :key
