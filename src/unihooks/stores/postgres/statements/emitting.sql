-- An event without a time gets that of the server: one moment for the whole statement, so that one row tells it.

-- name: add_events
-- rows: tenant text, id text, product text, event_type text, created_at bigint, body bytea
-- bytes: body
WITH moment (now) AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, queued_at, body)
    SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now),
        coalesce(r.created_at, moment.now), r.body FROM :rows AS r CROSS JOIN moment
    RETURNING created_at
)
SELECT max(created_at) FROM added

-- The events may be there already, from a call whose answer was lost; then they are not among those returned.
-- name: add_events_again
-- rows: tenant text, id text, product text, event_type text, created_at bigint, body bytea
-- bytes: body
INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, queued_at, body)
SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now),
    coalesce(r.created_at, moment.now), r.body
FROM :rows AS r CROSS JOIN (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS now) AS moment
ON CONFLICT (tenant, id) DO NOTHING RETURNING id, created_at

-- name: times_of_events
-- rows: tenant text, id text
SELECT e.id, e.created_at FROM :rows AS r JOIN unihooks.events AS e ON e.tenant = r.tenant AND e.id = r.id

-- A key that was used before answers with the first event; the update changes nothing.
-- name: add_events_once
-- rows: tenant text, id text, product text, event_type text, created_at bigint, idempotency_key text, digest bytea, body bytea
-- bytes: body
WITH moment (now) AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint))
INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, queued_at, idempotency_key, digest, body)
SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now),
    coalesce(r.created_at, moment.now), r.idempotency_key, r.digest, r.body
FROM :rows AS r CROSS JOIN moment
ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
DO UPDATE SET idempotency_key = excluded.idempotency_key
RETURNING tenant, idempotency_key, id, digest, created_at

-- The time goes as text, which no driver takes for a smaller number.
-- name: add_event_on_host
INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, queued_at, idempotency_key, digest, body)
SELECT CAST(:tenant AS text), CAST(:id AS text), CAST(:product AS text), CAST(:event_type AS text), moment.at,
    moment.at, CAST(:idempotency_key AS text), CAST(:digest AS bytea), CAST(:body AS bytea)
FROM unihooks.store CROSS JOIN (
    SELECT coalesce(CAST(CAST(:created_at AS text) AS bigint),
        CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS at
) AS moment WHERE store_id = CAST(:store_id AS text)
ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
DO UPDATE SET idempotency_key = excluded.idempotency_key
RETURNING id, digest, created_at
