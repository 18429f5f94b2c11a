-- The tables that are the same in every database, in PostgreSQL's words; each database leaves out what concerns only the
-- other's storage. "unihooks." stands for the schema that the store is given. Texts that are compared sort by bytes, as
-- in Python.

-- clock_at is the latest time that was noted, clock_steps how many times the clock was set back. first_version is the
-- config_version that a tenant begins with: higher than any of a tenant that was erased, which caches may still know.
CREATE TABLE unihooks.store (
    store_id text NOT NULL PRIMARY KEY,
    schema_version integer NOT NULL,
    created_at bigint NOT NULL,
    clock_at bigint,
    clock_steps integer NOT NULL DEFAULT 0,
    first_version bigint NOT NULL DEFAULT 1
) WITHOUT ROWID;

CREATE TABLE unihooks.tenants (
    tenant text COLLATE "C" NOT NULL PRIMARY KEY,
    config_version bigint NOT NULL
) WITH (fillfactor = 70) WITHOUT ROWID;

-- name_key is what names are sorted by, search_text what searches look in.
CREATE TABLE unihooks.webhooks (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    status text NOT NULL,
    mapping text NOT NULL,
    policy text NOT NULL,
    rendering text COLLATE "C",
    metadata text NOT NULL,
    headers bytea NOT NULL,
    ordered boolean NOT NULL,
    version bigint NOT NULL,
    created_at bigint,
    updated_at bigint,
    activated_at bigint,
    activated_mark text,
    deactivated_at bigint,
    deactivated_mark text,
    name_key text COLLATE "C" NOT NULL,
    search_text text NOT NULL
);

CREATE INDEX webhooks_by_tenant ON unihooks.webhooks (tenant, id);
CREATE INDEX webhooks_by_name ON unihooks.webhooks (tenant, name_key, id);
CREATE INDEX webhooks_by_rendering ON unihooks.webhooks (rendering) WHERE rendering IS NOT NULL;

-- How webhooks turn events into bytes, each once under the hash of what it says; kept_at is when a webhook last
-- took it up or gave it up.
CREATE TABLE unihooks.renderings (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    definition text NOT NULL,
    kept_at bigint NOT NULL
) WITHOUT ROWID;

CREATE TABLE unihooks.secrets (
    webhook_id text COLLATE "C" NOT NULL,
    position integer NOT NULL,
    value bytea NOT NULL,
    created_at bigint,
    expires_at bigint,
    PRIMARY KEY (webhook_id, position)
) WITHOUT ROWID;

CREATE TABLE unihooks.endpoints (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    position integer NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    state text NOT NULL,
    disabled_reason text,
    disabled_at bigint
);

CREATE INDEX endpoints_by_webhook ON unihooks.endpoints (webhook_id, position);
CREATE INDEX endpoints_disabled ON unihooks.endpoints (tenant, webhook_id) WHERE state = 'disabled';

-- The log shows the URL of an endpoint that is gone, and finds deliveries by it.
CREATE TABLE unihooks.former_endpoints (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    url text NOT NULL,
    removed_at bigint NOT NULL
) WITHOUT ROWID;

CREATE INDEX former_endpoints_by_tenant ON unihooks.former_endpoints (tenant);

CREATE TABLE unihooks.subscriptions (
    tenant text COLLATE "C" NOT NULL,
    product text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    position integer NOT NULL,
    conditions text NOT NULL,
    PRIMARY KEY (tenant, product, event_type, webhook_id, position)
) WITHOUT ROWID;

CREATE INDEX subscriptions_by_webhook ON unihooks.subscriptions (webhook_id, position);

-- next_due_at is never later than the first due time of the lane's pending deliveries, but for not_before, until when
-- the receiver wants none or a pause lasts, and ready_at. slot tells to which of the workers alive the lane belongs.
-- last_success_at is exact to a second. outcomes are its last 20 attempts: a leading 1, then a bit for each, 1 for a
-- success, the newest last. health is its state when that was noted last.
-- told_health is what was told of it last, healthy or failing, and told_at when it was last told to be failing.
-- rate, burst, in_flight_limit and deadline_us are what the webhook's policy says, NULL where it says nothing. A token
-- is what a delivery takes to go: there were so many at refilled_at, NULL where as many as fit. ready_at is when the
-- limits, or the probe that is under way, let the next one go. No lease under a limit lasts beyond leased_until.
-- pause_us is how long the breaker's present pause is, NULL while it is closed; a probe may go at probe_at.
-- without_subject counts deliveries of an ordered webhook that are in no order, as their events have no subject.
CREATE TABLE unihooks.lanes (
    endpoint_id text COLLATE "C" NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    slot smallint NOT NULL,
    open boolean NOT NULL,
    closed_at bigint,
    held_total_us bigint NOT NULL DEFAULT 0,
    next_due_at bigint,
    not_before bigint,
    failing_since bigint,
    failures bigint NOT NULL DEFAULT 0,
    last_success_at bigint,
    last_failure_at bigint,
    rate double precision,
    burst double precision,
    in_flight_limit integer,
    deadline_us bigint,
    tokens double precision,
    refilled_at bigint,
    ready_at bigint,
    leased_until bigint,
    pause_us bigint,
    probe_at bigint,
    outcomes bigint NOT NULL DEFAULT 1,
    health text COLLATE "C" NOT NULL DEFAULT 'healthy',
    without_subject bigint NOT NULL DEFAULT 0,
    told_health text COLLATE "C" NOT NULL DEFAULT 'healthy',
    told_at bigint
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
) WITHOUT ROWID;

CREATE INDEX lanes_due ON unihooks.lanes (next_due_at) WHERE open = true AND next_due_at IS NOT NULL;
CREATE INDEX lanes_due_by_tenant ON unihooks.lanes (tenant, next_due_at) WHERE open = true AND next_due_at IS NOT NULL;
CREATE INDEX lanes_waiting ON unihooks.lanes (tenant, not_before) WHERE not_before IS NOT NULL;
CREATE INDEX lanes_paused ON unihooks.lanes (tenant) WHERE pause_us IS NOT NULL;
CREATE INDEX lanes_closed ON unihooks.lanes (closed_at) WHERE open = false;
CREATE INDEX lanes_unhealthy ON unihooks.lanes (tenant, health) WHERE health <> 'healthy';
CREATE INDEX lanes_without_subject ON unihooks.lanes (without_subject) WHERE without_subject > 0;

-- An event is new as long as it has a row here, which is deleted when it is planned. New ones wait in the order of
-- place, which is the event's id. One of large fan-out goes to the end of the queue after each chunk, as does one whose
-- planning failed: it takes the place of an event that is made at that moment, and event_id says which one it is.
-- plan_cursor says up to which webhook, and up to which endpoint of the next, it has been planned;
-- it begins with ! where `recover` has made deliveries of the event. emit_order is set for events with a subject:
-- those of one subject are in the order of emit by it, and then by their ids.
CREATE TABLE unihooks.new_events (
    tenant text COLLATE "C" NOT NULL,
    place text COLLATE "C" NOT NULL,
    event_id text COLLATE "C",
    plan_cursor text COLLATE "C" NOT NULL DEFAULT '',
    plan_tries smallint NOT NULL DEFAULT 0,
    plan_error text,
    subject text COLLATE "C",
    emit_order bigint,
    PRIMARY KEY (tenant, place)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
) WITHOUT ROWID;

CREATE INDEX new_events_again ON unihooks.new_events (tenant, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX new_events_by_subject
    ON unihooks.new_events (tenant, subject, emit_order, coalesce(event_id, place)) WHERE subject IS NOT NULL;

-- How many events tenants have emitted in a minute (minutes since 1970), where the host limits them. Those of a host's
-- transaction have a part of their own: it may be rolled back, and nobody is to wait for it.
CREATE TABLE unihooks.emitted (
    tenant text COLLATE "C" NOT NULL,
    minute bigint NOT NULL,
    part text COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (tenant, minute, part)
) WITH (fillfactor = 50) WITHOUT ROWID;

CREATE TABLE unihooks.attempts (
    delivery_id text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    url text NOT NULL,
    started_at bigint NOT NULL,
    duration_us bigint NOT NULL,
    status_code integer,
    error text,
    request_headers text NOT NULL,
    response_headers text NOT NULL,
    response_body bytea NOT NULL,
    warnings text NOT NULL,
    PRIMARY KEY (delivery_id, number)
) PARTITION BY RANGE (delivery_id);

-- Counts per endpoint, hour (hours since 1970) and bucket of a histogram of durations, for plots. Each worker adds to
-- rows of its own part, since workers that add to one row wait for each other, and each five minutes have a part of
-- their own, since health is about the last 60 minutes. When these are over they become part 0.
CREATE TABLE unihooks.hours (
    endpoint_id text COLLATE "C" NOT NULL,
    hour bigint NOT NULL,
    bucket smallint NOT NULL,
    part smallint NOT NULL,
    attempts bigint NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (endpoint_id, hour, bucket, part)
) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0) WITHOUT ROWID;

CREATE INDEX hours_by_hour ON unihooks.hours (hour);
CREATE INDEX hours_in_parts ON unihooks.hours (hour) WHERE part > 0;

-- The responses to requests that may be repeated; status is NULL while a request is being carried out.
CREATE TABLE unihooks.answers (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    status integer,
    content bytea,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE INDEX answers_by_time ON unihooks.answers (created_at);

-- What a console keeps for its viewers until it expires. value is a JSON object, and may hold credentials.
CREATE TABLE unihooks.console_state (
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (tenant, owner, kind, id)
);

CREATE INDEX console_state_by_id ON unihooks.console_state (id);
CREATE INDEX console_state_by_end ON unihooks.console_state (expires_at);

-- What was sent for a tenant in an hour (hours since 1970) of the last day, as workers have written it down by now.
CREATE TABLE unihooks.totals (
    hour bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    PRIMARY KEY (hour, tenant)
) WITHOUT ROWID;

-- How old the queue was at most in each five minutes (numbered since 1970) of the last day.
CREATE TABLE unihooks.queue_ages (
    slot bigint NOT NULL PRIMARY KEY,
    age_us bigint NOT NULL
) WITHOUT ROWID;

CREATE TABLE unihooks.workers (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    seen_at bigint NOT NULL
) WITH (fillfactor = 50) WITHOUT ROWID;

-- Work on many deliveries, which workers do in slices. task says on which, and reached up to which it is done. turn is
-- raised with each slice, so that tenants take turns. Until next_at no job has another slice, where their rate is
-- bounded. tries counts slices that have failed in a row.
CREATE TABLE unihooks.jobs (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    webhook_id text COLLATE "C",
    task text NOT NULL,
    state text NOT NULL,
    reached text COLLATE "C" NOT NULL DEFAULT '',
    done bigint NOT NULL DEFAULT 0,
    made bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    turn bigint NOT NULL,
    worked_at bigint NOT NULL,
    next_at bigint,
    created_at bigint NOT NULL,
    ended_at bigint,
    reason text
) WITH (fillfactor = 50) WITHOUT ROWID;

CREATE INDEX jobs_by_tenant ON unihooks.jobs (tenant, id);
CREATE INDEX jobs_unfinished ON unihooks.jobs (tenant, turn) WHERE ended_at IS NULL;
CREATE INDEX jobs_paced ON unihooks.jobs (next_at) WHERE next_at IS NOT NULL;
