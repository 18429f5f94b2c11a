-- name: allow_whole_tables

-- Keys are kept with their events.
-- name: erase_keys
