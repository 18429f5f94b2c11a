-- name: schema_version
SELECT schema_version FROM unihooks.store

-- name: store_id
SELECT store_id FROM unihooks.store

-- name: add_store
INSERT INTO unihooks.store (store_id, schema_version, created_at) VALUES (:store_id, :version, :now)

-- name: set_schema_version
UPDATE unihooks.store SET schema_version = :version
