-- name: lock_schema

-- name: store_table
SELECT 1 FROM main.sqlite_master WHERE name = 'unihooks_store'

-- name: schema_version
SELECT schema_version FROM main.unihooks_store

-- name: store_id
SELECT store_id FROM main.unihooks_store

-- name: add_store
INSERT INTO main.unihooks_store (store_id, schema_version, created_at) VALUES (:store_id, :version, :now)

-- name: set_schema_version
UPDATE main.unihooks_store SET schema_version = :version
