-- name: add_events
-- rows: tenant, id, product, event_type, created_at, subject, body
INSERT INTO main.unihooks_events (tenant, id, product, event_type, created_at, subject, body) VALUES :rows

-- A key that was used before answers with the first event; the update changes nothing.
-- name: add_events_once
-- rows: tenant, id, product, event_type, created_at, idempotency_key, digest, subject, body
INSERT INTO main.unihooks_events (tenant, id, product, event_type, created_at, idempotency_key, digest, subject, body)
SELECT tenant, id, product, event_type, created_at, idempotency_key, digest, subject, body FROM :rows AS r WHERE true
ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
DO UPDATE SET idempotency_key = excluded.idempotency_key
RETURNING tenant, idempotency_key, id, digest, created_at

-- name: known_keys
-- rows: tenant, idempotency_key
-- columns: tenant, idempotency_key
SELECT e.tenant, e.idempotency_key FROM :rows AS k
JOIN main.unihooks_events AS e ON e.tenant = k.tenant AND e.idempotency_key = k.idempotency_key

-- Bytes and casts come back the same whatever factories and converters the host's connection has.
-- name: add_event_on_host
INSERT INTO main.unihooks_events (tenant, id, product, event_type, created_at, subject, body)
SELECT :tenant, :id, :product, :event_type, :created_at, :subject, :body
FROM main.unihooks_store WHERE store_id = :store_id
RETURNING CAST(id AS BLOB), NULL, CAST(created_at AS INTEGER)

-- name: add_event_on_host_once
INSERT INTO main.unihooks_events (tenant, id, product, event_type, created_at, idempotency_key, digest, subject, body)
SELECT :tenant, :id, :product, :event_type, :created_at, :idempotency_key, :digest, :subject, :body
FROM main.unihooks_store WHERE store_id = :store_id
ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
DO UPDATE SET idempotency_key = excluded.idempotency_key
RETURNING CAST(id AS BLOB), CAST(digest AS BLOB), CAST(created_at AS INTEGER)
