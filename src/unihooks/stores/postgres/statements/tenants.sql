-- A table that is read as a whole, once, is not to be read by an index.
-- name: allow_whole_tables
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true)

-- name: erase_keys
DELETE FROM unihooks.event_keys WHERE (tenant, idempotency_key) IN (
    SELECT tenant, idempotency_key FROM unihooks.event_keys
    WHERE tenant = :tenant ORDER BY idempotency_key LIMIT :limit FOR UPDATE
)
