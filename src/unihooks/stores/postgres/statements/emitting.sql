-- An event without a time gets that of the server: one moment for the whole statement, so that one row tells it.
-- An event and its row in new_events are inserted together.

-- name: add_events
-- rows: tenant text, id text, product text, event_type text, created_at bigint, subject text, body bytea
-- bytes: body
WITH moment (now) AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, subject, body)
    SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now), r.subject, r.body
    FROM :rows AS r CROSS JOIN moment
    RETURNING tenant, id, created_at, subject
), queued AS (
    INSERT INTO unihooks.new_events (tenant, place, subject, emit_order)
    SELECT tenant, id, subject, CASE WHEN subject IS NOT NULL THEN created_at END FROM added
)
SELECT max(created_at) FROM added

-- The events may be there already, from a call whose answer was lost; then they are not among those returned.
-- name: add_events_again
-- rows: tenant text, id text, product text, event_type text, created_at bigint, subject text, body bytea
-- bytes: body
WITH added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, subject, body)
    SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now), r.subject, r.body FROM :rows AS r
    CROSS JOIN (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS now) AS moment
    ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id, created_at, subject
), queued AS (
    INSERT INTO unihooks.new_events (tenant, place, subject, emit_order)
    SELECT tenant, id, subject, CASE WHEN subject IS NOT NULL THEN created_at END FROM added
)
SELECT id, created_at FROM added

-- name: times_of_events
-- rows: tenant text, id text
SELECT e.id, e.created_at FROM :rows AS r JOIN unihooks.events AS e ON e.tenant = r.tenant AND e.id = r.id

-- A key that was used before answers with the first event; the update changes nothing. Where it has found a row, xmax
-- is its own transaction.
-- name: add_events_once
-- rows: tenant text, id text, product text, event_type text, created_at bigint, idempotency_key text, digest bytea, subject text, body bytea
-- bytes: body
WITH moment (now) AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), kept AS (
    INSERT INTO unihooks.event_keys (tenant, idempotency_key, event_id, digest, created_at)
    SELECT r.tenant, r.idempotency_key, r.id, r.digest, coalesce(r.created_at, moment.now)
    FROM :rows AS r CROSS JOIN moment WHERE r.idempotency_key IS NOT NULL
    ON CONFLICT (tenant, idempotency_key) DO UPDATE SET idempotency_key = excluded.idempotency_key
    RETURNING tenant, idempotency_key, event_id, digest, created_at, xmax = 0 AS is_new
), added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, subject, body)
    SELECT r.tenant, r.id, r.product, r.event_type, coalesce(r.created_at, moment.now), r.subject, r.body
    FROM :rows AS r CROSS JOIN moment
    WHERE r.idempotency_key IS NULL OR (r.tenant, r.id) IN (SELECT tenant, event_id FROM kept WHERE is_new)
    RETURNING tenant, id, created_at, subject
), queued AS (
    INSERT INTO unihooks.new_events (tenant, place, subject, emit_order)
    SELECT tenant, id, subject, CASE WHEN subject IS NOT NULL THEN created_at END FROM added
)
SELECT tenant, idempotency_key, event_id, digest, created_at FROM kept

-- name: known_keys
-- rows: tenant text, idempotency_key text
SELECT e.tenant, e.idempotency_key FROM :rows AS k
JOIN unihooks.event_keys AS e ON e.tenant = k.tenant AND e.idempotency_key = k.idempotency_key

-- The time goes as text, which no driver takes for a smaller number. A host's connection parses and plans a statement
-- each time, so one without a key does no more than it has to.
-- name: add_event_on_host
WITH added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, subject, body)
    SELECT CAST(:tenant AS text), CAST(:id AS text), CAST(:product AS text), CAST(:event_type AS text),
        coalesce(CAST(CAST(:created_at AS text) AS bigint),
            CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), CAST(:subject AS text),
        CAST(:body AS bytea)
    FROM unihooks.store WHERE store_id = CAST(:store_id AS text)
    RETURNING tenant, id, created_at, subject
), queued AS (
    INSERT INTO unihooks.new_events (tenant, place, subject, emit_order)
    SELECT tenant, id, subject, CASE WHEN subject IS NOT NULL THEN created_at END FROM added
)
SELECT id, NULL, created_at FROM added

-- name: add_event_on_host_once
WITH given AS MATERIALIZED (
    SELECT CAST(:tenant AS text) AS tenant, CAST(:id AS text) AS id,
        coalesce(CAST(CAST(:created_at AS text) AS bigint),
            CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)) AS created_at
    FROM unihooks.store WHERE store_id = CAST(:store_id AS text)
), kept AS (
    INSERT INTO unihooks.event_keys (tenant, idempotency_key, event_id, digest, created_at)
    SELECT tenant, CAST(:idempotency_key AS text), id, CAST(:digest AS bytea), created_at FROM given
    ON CONFLICT (tenant, idempotency_key) DO UPDATE SET idempotency_key = excluded.idempotency_key
    RETURNING event_id, digest, created_at, xmax = 0 AS is_new
), added AS (
    INSERT INTO unihooks.events (tenant, id, product, event_type, created_at, subject, body)
    SELECT tenant, id, CAST(:product AS text), CAST(:event_type AS text), created_at,
        CAST(:subject AS text), CAST(:body AS bytea)
    FROM given WHERE EXISTS (SELECT 1 FROM kept WHERE is_new)
    RETURNING tenant, id, created_at, subject
), queued AS (
    INSERT INTO unihooks.new_events (tenant, place, subject, emit_order)
    SELECT tenant, id, subject, CASE WHEN subject IS NOT NULL THEN created_at END FROM added
)
SELECT event_id, digest, created_at FROM kept
