-- What has expired is as if it were gone, also before it is removed.
-- name: add_state
INSERT INTO unihooks.console_state AS s (
    tenant, owner, kind, id, version, value, created_at, updated_at, expires_at
) VALUES (:tenant, :owner, :kind, :id, 1, :value, :now, :now, :expires_at)
ON CONFLICT (tenant, owner, kind, id) DO UPDATE SET
    version = 1, value = excluded.value, created_at = excluded.created_at, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at
WHERE s.expires_at <= excluded.updated_at

-- name: replace_state
UPDATE unihooks.console_state
SET value = :value, version = version + 1, updated_at = :now, expires_at = :expires_at
WHERE tenant = :tenant AND owner = :owner AND kind = :kind AND id = :id AND version = :version AND expires_at > :now

-- name: state
SELECT s.tenant, s.owner, s.kind, s.id, s.version, s.value, s.created_at, s.updated_at, s.expires_at
FROM unihooks.console_state AS s WHERE s.kind = :kind AND s.expires_at > :now

-- name: ids_of_state
SELECT id FROM unihooks.console_state
WHERE tenant = :tenant AND owner = :owner AND kind = :kind AND expires_at > :now ORDER BY updated_at, id

-- name: drop_state
DELETE FROM unihooks.console_state WHERE tenant = :tenant AND owner = :owner AND kind = :kind AND id = :id

-- name: expire_state
DELETE FROM unihooks.console_state WHERE (tenant, owner, kind, id) IN (
    SELECT tenant, owner, kind, id FROM unihooks.console_state
    WHERE expires_at < :older_than ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
)

-- What came to a test receiver may show an event that is erased.
-- name: erase_received
DELETE FROM unihooks.console_state WHERE tenant = :tenant AND kind = 'received'

-- name: erase_state
DELETE FROM unihooks.console_state WHERE tenant = :tenant
