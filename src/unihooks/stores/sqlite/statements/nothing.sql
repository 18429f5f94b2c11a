-- Steps that others need.

-- A write transaction excludes all others.
-- name: lock_schema, lock_configuration, share_configuration, share_found_configuration, lock_replays, lock_state
-- name: lock_lanes, lock_chains, lock_deliveries_to_erase

-- A round trip costs nothing.
-- name: take_new_events, hold_configuration, deliver_all

-- Keys are kept with their events.
-- name: clear_keys, drop_keys, erase_keys

-- Nobody can be told of what other processes commit.
-- name: nobody_listens

-- Tables are read as a whole where no index fits.
-- name: allow_whole_tables
