-- A job is unfinished until ended_at is set. With its end its task goes, which may hold a subject that is erased later.
-- name: add_job
INSERT INTO unihooks.jobs (id, tenant, kind, webhook_id, task, state, total, turn, worked_at, created_at)
VALUES (
    :id, :tenant, :kind, :webhook_id, :task, 'pending', :total,
    (SELECT coalesce(max(turn), 0) + 1 FROM unihooks.jobs WHERE ended_at IS NULL), :now, :now
)

-- name: jobs
SELECT j.id, j.tenant, j.kind, j.state, j.done, j.made, j.total, j.created_at, j.ended_at, j.reason, j.webhook_id
FROM unihooks.jobs AS j WHERE true

-- name: stop_job
UPDATE unihooks.jobs SET state = 'stopped', reason = :reason, task = '{}', ended_at = :now
WHERE tenant = :tenant AND id = :id AND ended_at IS NULL

-- name: jobs_paced_until
SELECT next_at FROM unihooks.jobs WHERE next_at > :now ORDER BY next_at DESC LIMIT 1

-- The tenant whose last turn is longest ago comes first.
-- name: jobs_in_turn
-- columns: id, tenant, kind, task, reached, worked_at
SELECT j.id, j.tenant, j.kind, j.task, j.reached, j.worked_at FROM unihooks.jobs AS j WHERE j.ended_at IS NULL
ORDER BY (
    SELECT max(t.turn) FROM unihooks.jobs AS t WHERE t.tenant = j.tenant AND t.ended_at IS NULL
), j.turn, j.id LIMIT :limit FOR UPDATE OF j SKIP LOCKED

-- A lane that is paused, or waits for its rate, is due later than its deliveries.
-- name: due_in_lanes
SELECT d.id FROM unihooks.lanes AS l
JOIN unihooks.deliveries AS d INDEXED BY unihooks_deliveries_due
    ON d.endpoint_id = l.endpoint_id AND d.state = 'pending' AND d.due_at <= :now
WHERE l.open = true AND l.tenant = :tenant AND l.next_due_at IS NOT NULL

-- name: pass_job
UPDATE unihooks.jobs SET turn = (SELECT max(turn) + 1 FROM unihooks.jobs WHERE ended_at IS NULL) WHERE id = :id

-- name: advance_job
UPDATE unihooks.jobs SET
    state = :state, reached = :reached, done = done + :done, made = made + :made, tries = 0,
    total = CASE WHEN :state = 'done' THEN done + :done ELSE greatest(total, done + :done) END,
    turn = (SELECT max(turn) + 1 FROM unihooks.jobs WHERE ended_at IS NULL),
    task = CASE WHEN :state = 'running' THEN task ELSE '{}' END,
    worked_at = :now, next_at = :next_at, ended_at = :ended_at, reason = :reason
WHERE id = :id

-- name: note_job_failure
UPDATE unihooks.jobs SET
    tries = tries + 1,
    turn = (SELECT max(turn) + 1 FROM unihooks.jobs WHERE ended_at IS NULL),
    task = CASE WHEN tries + 1 >= :most THEN '{}' ELSE task END,
    state = CASE WHEN tries + 1 >= :most THEN 'failed' ELSE state END,
    reason = CASE WHEN tries + 1 >= :most THEN :reason ELSE reason END,
    ended_at = CASE WHEN tries + 1 >= :most THEN :now ELSE ended_at END
WHERE id = :id AND ended_at IS NULL

-- name: prune_jobs
DELETE FROM unihooks.jobs WHERE id IN (
    SELECT id FROM unihooks.jobs WHERE ended_at < :older_than FOR UPDATE SKIP LOCKED
)
