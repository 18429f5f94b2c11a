-- Locked one by one in the order of the keys, which is that of ids: the same for everyone.
-- name: held_by_token
-- rows: tenant text, id text, token bigint, position integer
SELECT k.position FROM :rows AS k
CROSS JOIN LATERAL (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = :state FOR NO KEY UPDATE
) AS held

-- An error ends the whole transaction, unless all are moved on.
-- name: deliver_all
-- rows: tenant text, id text, token bigint, number integer
WITH held AS (
    SELECT k.tenant, k.id, k.number FROM :rows AS k
    CROSS JOIN LATERAL (
        SELECT 1 FROM unihooks.deliveries AS d
        WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = 'pending' FOR NO KEY UPDATE
    ) AS locked
), moved AS (
    UPDATE unihooks.deliveries AS d SET state = 'delivered', token = NULL, attempt_count = held.number, reason = NULL
    FROM held WHERE d.tenant = held.tenant AND d.id = held.id RETURNING 1
)
SELECT 1 / CAST(count(*) = :count AS integer) FROM moved

-- name: deliver
-- rows: tenant text, id text, token bigint, number integer
WITH held AS (
    SELECT k.tenant, k.id, k.number FROM :rows AS k
    CROSS JOIN LATERAL (
        SELECT 1 FROM unihooks.deliveries AS d
        WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = 'pending' FOR NO KEY UPDATE
    ) AS locked
)
UPDATE unihooks.deliveries AS d SET state = 'delivered', token = NULL, attempt_count = held.number, reason = NULL
FROM held WHERE d.tenant = held.tenant AND d.id = held.id
