-- "pending" stands in the text, not in a parameter, so that the plan has the queue alone, and none of the days.
-- A delivery is looked for by its webhook too: where statistics were taken of an empty queue, all indexes cost the same,
-- and with the id alone the one that begins with the webhook would be read whole for each row.

-- Locked one by one in the order of the keys, which is that of ids: the same for everyone.
-- name: held_by_token
-- rows: tenant text, id text, token bigint, position integer, webhook_id text
SELECT k.position FROM :rows AS k
CROSS JOIN LATERAL (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.tenant = k.tenant AND d.id = k.id AND d.webhook_id = k.webhook_id AND d.token = k.token AND d.state = 'pending'
    FOR NO KEY UPDATE
) AS held

-- A lane that has just had another success stays as it is: workers that share it would wait for each other. The first
-- one ends a pause. 2097151 are 20 successes, to which more change nothing. Each endpoint has its count of successes in
-- the same place.
-- name: note_success
WITH held AS (
    SELECT endpoint_id, health, outcomes, least(20, (CAST(:counts AS integer[]))[
        array_position(CAST(:endpoints AS text[]), endpoint_id)
    ]) AS more
    FROM unihooks.lanes WHERE endpoint_id = ANY(CAST(:endpoints AS text[]))
      AND (failures > 0 OR failing_since IS NOT NULL OR pause_us IS NOT NULL OR outcomes <> 2097151
        OR health <> 'healthy' OR last_success_at IS NULL
        OR last_success_at NOT BETWEEN CAST(:now AS bigint) - 1000000 AND CAST(:now AS bigint))
    ORDER BY endpoint_id FOR NO KEY UPDATE
), noted AS (
    SELECT endpoint_id, health, (outcomes << more) | ((CAST(1 AS bigint) << more) - 1) AS outcomes FROM held
), kept AS (
    UPDATE unihooks.lanes AS l SET failing_since = NULL, failures = 0, last_success_at = CAST(:now AS bigint),
        pause_us = NULL, probe_at = NULL,
        ready_at = CASE WHEN l.pause_us IS NULL THEN l.ready_at END,
        not_before = CASE WHEN l.pause_us IS NULL THEN l.not_before END,
        next_due_at = CASE
            WHEN l.pause_us IS NULL OR l.next_due_at IS NULL THEN l.next_due_at ELSE CAST(:now AS bigint)
        END,
        outcomes = CASE WHEN noted.outcomes > 2097151 THEN (noted.outcomes & 1048575) | 1048576 ELSE noted.outcomes END
    FROM noted WHERE l.endpoint_id = noted.endpoint_id
)
SELECT endpoint_id, health FROM noted WHERE health <> 'healthy'

-- A row that is deleted here is gone for whoever waits for it; one that an update moves would be an error there.
-- Rows are found one by one and told by their places: the plan is kept from when the queue was short, and would else
-- read it whole. Whoever holds a delivery by its token has made the next attempt.
-- An error ends the whole transaction, unless all are moved on.
-- name: deliver_all
-- rows: tenant text, id text, token bigint, number integer, webhook_id text
WITH gone AS (
    DELETE FROM unihooks.deliveries_pending WHERE ctid = ANY(ARRAY(
        SELECT held.ctid FROM :rows AS k CROSS JOIN LATERAL (
            SELECT d.ctid FROM unihooks.deliveries_pending AS d
            WHERE d.tenant = k.tenant AND d.id = k.id AND d.webhook_id = k.webhook_id AND d.token = k.token
            FOR NO KEY UPDATE
        ) AS held
    )) RETURNING *
), moved AS (
    INSERT INTO unihooks.deliveries_ended (
        tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, state, due_at, attempt_count,
        first_attempt_at, held_base, replay_of, created_at
    )
    SELECT tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, 'delivered', due_at,
        attempt_count + 1, first_attempt_at, held_base, replay_of, created_at
    FROM gone RETURNING 1
)
SELECT 1 / CAST(count(*) = :count AS integer) FROM moved

-- name: deliver
-- rows: tenant text, id text, token bigint, number integer, webhook_id text
WITH gone AS (
    DELETE FROM unihooks.deliveries_pending WHERE ctid = ANY(ARRAY(
        SELECT held.ctid FROM :rows AS k CROSS JOIN LATERAL (
            SELECT d.ctid FROM unihooks.deliveries_pending AS d
            WHERE d.tenant = k.tenant AND d.id = k.id AND d.webhook_id = k.webhook_id AND d.token = k.token
            FOR NO KEY UPDATE
        ) AS held
    )) RETURNING *
)
INSERT INTO unihooks.deliveries_ended (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, state, due_at, attempt_count,
    first_attempt_at, held_base, replay_of, created_at
)
SELECT tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, 'delivered', due_at,
    attempt_count + 1, first_attempt_at, held_base, replay_of, created_at
FROM gone

-- name: move_on
-- rows: tenant text, id text, endpoint_id text, state text, due_at bigint, number integer, first_at bigint, status_code smallint, reason text, webhook_id text
WITH news AS MATERIALIZED (
    SELECT r.*, found.place, (SELECT l.held_total_us FROM unihooks.lanes AS l WHERE l.endpoint_id = r.endpoint_id)
    FROM :rows AS r CROSS JOIN LATERAL (
        SELECT ctid AS place FROM unihooks.deliveries_pending
        WHERE tenant = r.tenant AND id = r.id AND webhook_id = r.webhook_id LIMIT 1
    ) AS found
), gone AS (
    DELETE FROM unihooks.deliveries_pending
    WHERE ctid = ANY(ARRAY(SELECT place FROM news WHERE state <> 'pending')) RETURNING ctid AS place, *
), ended AS (
    INSERT INTO unihooks.deliveries_ended (
        tenant, id, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering, state, due_at,
        attempt_count, first_attempt_at, held_base, status_code, reason, replay_of, created_at
    )
    SELECT d.tenant, d.id, d.event_id, d.webhook_id, d.endpoint_id, d.product, d.event_type, d.subject, d.rendering, news.state,
        d.due_at, news.number, coalesce(d.first_attempt_at, news.first_at),
        coalesce(d.held_base, news.held_total_us, 0),
        CASE WHEN news.first_at IS NULL THEN d.status_code ELSE news.status_code END, news.reason, d.replay_of, d.created_at
    FROM gone AS d JOIN news ON news.place = d.place
)
UPDATE unihooks.deliveries_pending AS d
SET due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, news.held_total_us, 0),
    status_code = CASE WHEN news.first_at IS NULL THEN d.status_code ELSE news.status_code END, reason = news.reason
FROM news
WHERE d.ctid = ANY(ARRAY(SELECT place FROM news WHERE state = 'pending')) AND d.ctid = news.place
