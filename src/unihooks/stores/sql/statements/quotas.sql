-- The row is locked until the transaction ends, so that no other counts at the same time.
-- name: count_emitted
-- rows: tenant text, minute bigint, events bigint
INSERT INTO unihooks.emitted AS c (tenant, minute, part, events)
SELECT k.tenant, k.minute, '', k.events FROM :rows AS k WHERE true ORDER BY k.tenant, k.minute
ON CONFLICT (tenant, minute, part) DO UPDATE SET events = c.events + excluded.events

-- name: emitted
-- rows: tenant text, minute bigint, events bigint
-- columns: tenant, minute, events
SELECT k.tenant, k.minute, CAST(sum(c.events) AS bigint) AS events FROM :rows AS k
JOIN unihooks.emitted AS c ON c.tenant = k.tenant AND c.minute = k.minute GROUP BY k.tenant, k.minute

-- name: forget_emitted
DELETE FROM unihooks.emitted WHERE (tenant, minute, part) IN (
    SELECT tenant, minute, part FROM unihooks.emitted WHERE minute < :minute FOR UPDATE SKIP LOCKED
)

-- name: erase_emitted
DELETE FROM unihooks.emitted WHERE tenant = :tenant

-- name: emitted_on_host
SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM unihooks.emitted
WHERE tenant = CAST(:tenant AS text) AND minute = CAST(CAST(:minute AS text) AS bigint)

-- name: count_on_host
INSERT INTO unihooks.emitted (tenant, minute, part, events)
VALUES (CAST(:tenant AS text), CAST(CAST(:minute AS text) AS bigint), CAST(:id AS text), 1) RETURNING events
