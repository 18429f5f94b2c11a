-- A day is a partition of events, of deliveries that have ended, and of attempts each. {day}, {first}, {last} and such
-- are put into the texts: the name of a table and the bound of a partition cannot be parameters.

-- name: lock_days
SELECT pg_try_advisory_xact_lock(hashtextextended('unihooks days ' || CAST(:schema AS text), 0))

-- name: days
SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relispartition AND c.relkind = 'r' AND c.relname ~ '_[0-9]{8}$'

-- What there is of a day that is still to come is from clocks that are ahead.
-- name: make_day
LOCK TABLE unihooks.{kind}_others IN ACCESS EXCLUSIVE MODE;
CREATE TABLE unihooks.{kind}_{day} (LIKE unihooks.{parent} INCLUDING DEFAULTS);
WITH moved AS (
    DELETE FROM unihooks.{kind}_others WHERE {id} >= '{first}' AND {id} < '{last}' RETURNING *
)
INSERT INTO unihooks.{kind}_{day} SELECT * FROM moved;
ALTER TABLE unihooks.{parent} ATTACH PARTITION unihooks.{kind}_{day} FOR VALUES FROM ('{first}') TO ('{last}')

-- Nobody changes or adds anything of the day from here on, but it may be read.
-- name: hold_day
LOCK TABLE unihooks.events_{day}, unihooks.deliveries_{day}, unihooks.attempts_{day} IN EXCLUSIVE MODE

-- name: newest_of_day
SELECT max(created_at) FROM unihooks.events_{day}

-- name: count_day
SELECT count(*) FROM unihooks.events_{day}

-- What is pending of the day's events, or has attempts in it.
-- name: keep_pending
CREATE TEMPORARY TABLE unihooks_pending ON COMMIT DROP AS
SELECT tenant, id, event_id FROM unihooks.deliveries_pending
WHERE (event_id >= 'evt_{first}' AND event_id < 'evt_{last}') OR (id >= 'dlv_{first}' AND id < 'dlv_{last}')
LIMIT {most} + 1

-- name: keep_events
CREATE TEMPORARY TABLE unihooks_events ON COMMIT DROP AS
SELECT e.* FROM unihooks.events_{day} AS e JOIN (
    SELECT tenant, event_id AS id FROM pg_temp.unihooks_pending
    UNION
    SELECT tenant, coalesce(event_id, place) FROM unihooks.new_events
    WHERE coalesce(event_id, place) >= 'evt_{first}' AND coalesce(event_id, place) < 'evt_{last}'
) AS needed ON needed.tenant = e.tenant AND needed.id = e.id
LIMIT {most} + 1

-- Too much is needed of the day, or all.
-- name: is_day_needed
SELECT greatest((SELECT count(*) FROM pg_temp.unihooks_pending), needed.count) > {most} OR needed.count >= (
    SELECT count(*) FROM (SELECT 1 FROM unihooks.events_{day} LIMIT {most} + 1) AS there
) FROM (SELECT count(*) FROM pg_temp.unihooks_events) AS needed (count)

-- The originals of an event lie between two ids. A replay of the day belongs to an event of an earlier one, most often.
-- name: keep_deliveries
CREATE TEMPORARY TABLE unihooks_deliveries ON COMMIT DROP AS
SELECT d.* FROM pg_temp.unihooks_events AS e JOIN unihooks.deliveries_{day} AS d ON d.tenant = e.tenant AND d.event_id = e.id
    AND d.id > 'dlv_' || left(right(e.id, 26), 10) || right(e.id, 3)
    AND d.id < 'dlv_' || left(right(e.id, 26), 10) || right(e.id, 3) || '~'
WHERE d.replay_of IS NULL
UNION ALL
SELECT d.* FROM unihooks.deliveries_{day} AS d WHERE d.replay_of IS NOT NULL AND (
    EXISTS (SELECT 1 FROM pg_temp.unihooks_events AS e WHERE e.tenant = d.tenant AND e.id = d.event_id)
    OR (d.event_id < 'evt_{first}' OR d.event_id >= 'evt_{last}') AND EXISTS (
        SELECT 1 FROM unihooks.events AS e WHERE e.tenant = d.tenant AND e.id = d.event_id
    )
)

-- name: keep_attempts
CREATE TEMPORARY TABLE unihooks_attempts ON COMMIT DROP AS
SELECT a.* FROM (SELECT id FROM pg_temp.unihooks_pending UNION SELECT id FROM pg_temp.unihooks_deliveries) AS needed
JOIN unihooks.attempts_{day} AS a ON a.delivery_id = needed.id

-- name: empty_day
TRUNCATE unihooks.events_{day}, unihooks.deliveries_{day}, unihooks.attempts_{day};
INSERT INTO unihooks.events_{day} SELECT * FROM pg_temp.unihooks_events;
INSERT INTO unihooks.deliveries_{day} SELECT * FROM pg_temp.unihooks_deliveries;
INSERT INTO unihooks.attempts_{day} SELECT * FROM pg_temp.unihooks_attempts

-- Replays of these events lie in later days; their keys have a table of their own.
-- name: prune_replays_of_day
DELETE FROM unihooks.attempts WHERE delivery_id IN (
    SELECT d.id FROM unihooks.deliveries_ended AS d
    WHERE d.replay_of IS NOT NULL AND d.event_id >= 'evt_{first}' AND d.event_id < 'evt_{last}'
      AND NOT EXISTS (SELECT 1 FROM pg_temp.unihooks_events AS e WHERE e.tenant = d.tenant AND e.id = d.event_id)
);
DELETE FROM unihooks.deliveries_ended AS d
WHERE d.replay_of IS NOT NULL AND d.event_id >= 'evt_{first}' AND d.event_id < 'evt_{last}'
  AND NOT EXISTS (SELECT 1 FROM pg_temp.unihooks_events AS e WHERE e.tenant = d.tenant AND e.id = d.event_id);
DELETE FROM unihooks.event_keys AS k
WHERE k.created_at < {older_than} AND k.event_id >= 'evt_{first}' AND k.event_id < 'evt_{last}'
  AND NOT EXISTS (SELECT 1 FROM pg_temp.unihooks_events AS e WHERE e.tenant = k.tenant AND e.id = k.event_id)

-- name: hold_part
LOCK TABLE ONLY unihooks.{parent} IN ACCESS EXCLUSIVE MODE;
LOCK TABLE unihooks.{kind}_{day} IN ACCESS EXCLUSIVE MODE

-- name: is_part_used
SELECT EXISTS (SELECT 1 FROM unihooks.{kind}_{day})

-- name: drop_part
ALTER TABLE unihooks.{parent} DETACH PARTITION unihooks.{kind}_{day};
DROP TABLE unihooks.{kind}_{day}
