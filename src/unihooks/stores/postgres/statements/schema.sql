-- name: lock_schema
SELECT pg_advisory_xact_lock(hashtextextended('unihooks migrate ' || CAST(:schema AS text), 0))

-- name: store_table
SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = 'store'

-- name: has_schema
SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :schema
