-- name: lock_schema
SELECT pg_advisory_xact_lock(hashtextextended('unihooks migrate ' || CAST(:schema AS text), 0))

-- name: store_table
SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = 'store'

-- name: has_schema
SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :schema

-- name: schema_version
SELECT schema_version FROM unihooks.store

-- name: store_id
SELECT store_id FROM unihooks.store

-- name: add_store
INSERT INTO unihooks.store (store_id, schema_version, created_at) VALUES (:store_id, :version, :now)

-- name: set_schema_version
UPDATE unihooks.store SET schema_version = :version
