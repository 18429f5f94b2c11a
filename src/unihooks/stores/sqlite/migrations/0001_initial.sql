-- clock_at is the latest time that was noted, clock_steps how many times the clock was set back. first_version is the
-- config_version that a tenant begins with: higher than any of a tenant that was erased, which caches may still know.
CREATE TABLE main.unihooks_store (
    store_id TEXT NOT NULL PRIMARY KEY,
    schema_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    clock_at INTEGER,
    clock_steps INTEGER NOT NULL DEFAULT 0,
    first_version INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

CREATE TABLE main.unihooks_tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    config_version INTEGER NOT NULL
) WITHOUT ROWID;

-- Headers and secrets are plain bytes where key_id is NULL. name_key is what names are sorted by,
-- search_text what searches look in.
CREATE TABLE main.unihooks_webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    mapping TEXT NOT NULL,
    policy TEXT NOT NULL,
    rendering TEXT,
    metadata TEXT NOT NULL,
    headers BLOB NOT NULL,
    key_id TEXT,
    ordered INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER,
    updated_at INTEGER,
    activated_at INTEGER,
    activated_mark TEXT,
    deactivated_at INTEGER,
    deactivated_mark TEXT,
    name_key TEXT NOT NULL,
    search_text TEXT NOT NULL
);

CREATE INDEX main.unihooks_webhooks_by_tenant ON unihooks_webhooks (tenant, id);
CREATE INDEX main.unihooks_webhooks_by_name ON unihooks_webhooks (tenant, name_key, id);
CREATE INDEX main.unihooks_webhooks_by_rendering ON unihooks_webhooks (rendering) WHERE rendering IS NOT NULL;

-- How webhooks turn events into bytes, each once under the hash of what it says; kept_at is when a webhook last
-- took it up or gave it up.
CREATE TABLE main.unihooks_renderings (
    id TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL,
    kept_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE main.unihooks_secrets (
    webhook_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    value BLOB NOT NULL,
    key_id TEXT,
    created_at INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (webhook_id, position)
) WITHOUT ROWID;

CREATE TABLE main.unihooks_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    disabled_reason TEXT,
    disabled_at INTEGER
);

CREATE INDEX main.unihooks_endpoints_by_webhook ON unihooks_endpoints (webhook_id, position);
CREATE INDEX main.unihooks_endpoints_disabled ON unihooks_endpoints (tenant, webhook_id) WHERE state = 'disabled';

-- The log shows the URL of an endpoint that is gone, and finds deliveries by it.
CREATE TABLE main.unihooks_former_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    url TEXT NOT NULL,
    removed_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX main.unihooks_former_endpoints_by_tenant ON unihooks_former_endpoints (tenant);

CREATE TABLE main.unihooks_subscriptions (
    tenant TEXT NOT NULL,
    product TEXT NOT NULL,
    event_type TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    PRIMARY KEY (tenant, product, event_type, webhook_id, position)
) WITHOUT ROWID;

CREATE INDEX main.unihooks_subscriptions_by_webhook ON unihooks_subscriptions (webhook_id, position);

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
CREATE TABLE main.unihooks_lanes (
    endpoint_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    open INTEGER NOT NULL,
    closed_at INTEGER,
    held_total_us INTEGER NOT NULL DEFAULT 0,
    next_due_at INTEGER,
    not_before INTEGER,
    failing_since INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    last_success_at INTEGER,
    last_failure_at INTEGER,
    rate REAL,
    burst REAL,
    in_flight_limit INTEGER,
    deadline_us INTEGER,
    tokens REAL,
    refilled_at INTEGER,
    ready_at INTEGER,
    leased_until INTEGER,
    pause_us INTEGER,
    probe_at INTEGER,
    outcomes INTEGER NOT NULL DEFAULT 1,
    health TEXT NOT NULL DEFAULT 'healthy',
    without_subject INTEGER NOT NULL DEFAULT 0,
    told_health TEXT NOT NULL DEFAULT 'healthy',
    told_at INTEGER
) WITHOUT ROWID;

CREATE INDEX main.unihooks_lanes_due ON unihooks_lanes (next_due_at) WHERE open = 1 AND next_due_at IS NOT NULL;
CREATE INDEX main.unihooks_lanes_due_by_tenant ON unihooks_lanes (tenant, next_due_at)
    WHERE open = 1 AND next_due_at IS NOT NULL;
CREATE INDEX main.unihooks_lanes_waiting ON unihooks_lanes (tenant, not_before) WHERE not_before IS NOT NULL;
CREATE INDEX main.unihooks_lanes_paused ON unihooks_lanes (tenant) WHERE pause_us IS NOT NULL;
CREATE INDEX main.unihooks_lanes_closed ON unihooks_lanes (closed_at) WHERE open = 0;
CREATE INDEX main.unihooks_lanes_unhealthy ON unihooks_lanes (tenant, health) WHERE health <> 'healthy';
CREATE INDEX main.unihooks_lanes_without_subject ON unihooks_lanes (without_subject) WHERE without_subject > 0;

-- An event is written once, with its row in unihooks_new_events. One that could not be planned is set aside, and
-- plan_error says why. The body comes last, so that the rest is read without it.
CREATE TABLE main.unihooks_events (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    product TEXT NOT NULL,
    event_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    subject TEXT,
    plan_error TEXT,
    idempotency_key TEXT,
    digest BLOB,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX main.unihooks_events_by_time ON unihooks_events (created_at);
CREATE UNIQUE INDEX main.unihooks_events_once ON unihooks_events (tenant, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX main.unihooks_events_by_subject ON unihooks_events (tenant, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX main.unihooks_events_keyed ON unihooks_events (created_at) WHERE idempotency_key IS NOT NULL;

-- An event is new as long as it has a row here, which is deleted when it is planned. New ones wait in the order of
-- place, which is the event's id. One of large fan-out goes to the end of the queue after each chunk, as does one whose
-- planning failed: it takes the place of an event that is made at that moment, and event_id says which one it is.
-- plan_cursor says up to which webhook, and up to which endpoint of the next, it has been planned;
-- it begins with ! where `recover` has made deliveries of the event. emit_order is set for events with a subject:
-- those of one subject are in the order of emit by it, and then by their ids.
CREATE TABLE main.unihooks_new_events (
    tenant TEXT NOT NULL,
    place TEXT NOT NULL,
    event_id TEXT,
    plan_cursor TEXT NOT NULL DEFAULT '',
    plan_tries INTEGER NOT NULL DEFAULT 0,
    plan_error TEXT,
    subject TEXT,
    emit_order INTEGER,
    PRIMARY KEY (tenant, place)
) WITHOUT ROWID;

CREATE INDEX main.unihooks_new_events_again ON unihooks_new_events (tenant, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX main.unihooks_new_events_by_subject
    ON unihooks_new_events (tenant, subject, emit_order, coalesce(event_id, place)) WHERE subject IS NOT NULL;

-- An insert stays one statement, also on a host's connection. Rows are numbered as they are inserted, by one process
-- at a time: that is the order of emit, whatever the clock says.
CREATE TRIGGER main.unihooks_events_are_new AFTER INSERT ON unihooks_events
BEGIN INSERT INTO unihooks_new_events (tenant, place, subject, emit_order)
VALUES (NEW.tenant, NEW.id, NEW.subject, CASE WHEN NEW.subject IS NOT NULL THEN NEW.rowid END); END;

-- How many events tenants have emitted in a minute (minutes since 1970), where the host limits them. Those of a host's
-- transaction have a part of their own: it may be rolled back, and nobody is to wait for it.
CREATE TABLE main.unihooks_emitted (
    tenant TEXT NOT NULL,
    minute INTEGER NOT NULL,
    part TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (tenant, minute, part)
) WITHOUT ROWID;

-- A pending delivery is leased while token is set and due_at, the end of its lease, lies ahead.
-- rendering is NULL where the event's own bytes are sent. status_code is that of the last attempt, 0 where that had no
-- response, NULL where it delivered, or there was none. sequence is set for deliveries of an ordered webhook: of those
-- of one subject to one endpoint, all but the first pending one wait, with a due_at that never comes (2^62), until the
-- transaction that ends the one before makes them due.
CREATE TABLE main.unihooks_deliveries (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    product TEXT NOT NULL,
    event_type TEXT NOT NULL,
    subject TEXT,
    rendering TEXT,
    state TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    token INTEGER,
    sequence INTEGER,
    attempt_count INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    held_base INTEGER,
    status_code INTEGER,
    reason TEXT,
    replay_of TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- The state is in the index so that counting needs no look at the rows.
CREATE INDEX main.unihooks_deliveries_due ON unihooks_deliveries (endpoint_id, due_at, token, state)
    WHERE state = 'pending';
CREATE INDEX main.unihooks_deliveries_ordered ON unihooks_deliveries (endpoint_id, subject, sequence)
    WHERE sequence IS NOT NULL AND state = 'pending';
CREATE INDEX main.unihooks_deliveries_by_webhook ON unihooks_deliveries (webhook_id, id);
CREATE INDEX main.unihooks_deliveries_by_type
    ON unihooks_deliveries (tenant, event_type, id, webhook_id, product);
CREATE INDEX main.unihooks_deliveries_by_subject ON unihooks_deliveries (tenant, subject, id) WHERE subject IS NOT NULL;
-- They are few, and what customers look for.
CREATE INDEX main.unihooks_deliveries_undelivered ON unihooks_deliveries (tenant, state, id)
    WHERE state IN ('failed', 'cancelled');
CREATE INDEX main.unihooks_deliveries_undelivered_by_webhook ON unihooks_deliveries (webhook_id, state, id)
    WHERE state IN ('failed', 'cancelled');
CREATE INDEX main.unihooks_deliveries_refused ON unihooks_deliveries (tenant, id, status_code)
    WHERE status_code IS NOT NULL;
-- The id of an original follows from its event and endpoint, so that there is one; a replay has a random one.
CREATE INDEX main.unihooks_deliveries_replayed ON unihooks_deliveries (event_id) WHERE replay_of IS NOT NULL;

CREATE TABLE main.unihooks_attempts (
    delivery_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    url TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    status_code INTEGER,
    error TEXT,
    request_headers TEXT NOT NULL,
    response_headers TEXT NOT NULL,
    response_body BLOB NOT NULL,
    warnings TEXT NOT NULL,
    PRIMARY KEY (delivery_id, number)
);

-- Counts per endpoint, hour (hours since 1970) and bucket of a histogram of durations, for plots. Each five minutes have
-- a part of their own, from 1 on, since health is about the last 60 minutes; when these are over they become part 0.
CREATE TABLE main.unihooks_hours (
    endpoint_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    part INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, hour, bucket, part)
) WITHOUT ROWID;

CREATE INDEX main.unihooks_hours_by_hour ON unihooks_hours (hour);
CREATE INDEX main.unihooks_hours_in_parts ON unihooks_hours (hour) WHERE part > 0;

-- The responses to requests that may be repeated; status is NULL while a request is being carried out.
CREATE TABLE main.unihooks_answers (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    status INTEGER,
    content BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE INDEX main.unihooks_answers_by_time ON unihooks_answers (created_at);

-- What a console keeps for its viewers until it expires. value is a JSON object, and may hold credentials.
CREATE TABLE main.unihooks_console_state (
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner, kind, id)
);

CREATE INDEX main.unihooks_console_state_by_id ON unihooks_console_state (id);
CREATE INDEX main.unihooks_console_state_by_end ON unihooks_console_state (expires_at);

-- What was sent for a tenant in an hour (hours since 1970) of the last day, as workers have written it down by now.
CREATE TABLE main.unihooks_totals (
    hour INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant)
) WITHOUT ROWID;

-- How old the queue was at most in each five minutes (numbered since 1970) of the last day.
CREATE TABLE main.unihooks_queue_ages (
    slot INTEGER NOT NULL PRIMARY KEY,
    age_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE main.unihooks_workers (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Work on many deliveries, which workers do in slices. task says on which, and reached up to which it is done. turn is
-- raised with each slice, so that tenants take turns. Until next_at no job has another slice, where their rate is
-- bounded. tries counts slices that have failed in a row.
CREATE TABLE main.unihooks_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    webhook_id TEXT,
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    reached TEXT NOT NULL DEFAULT '',
    done INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    turn INTEGER NOT NULL,
    worked_at INTEGER NOT NULL,
    next_at INTEGER,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT
) WITHOUT ROWID;

CREATE INDEX main.unihooks_jobs_by_tenant ON unihooks_jobs (tenant, id);
CREATE INDEX main.unihooks_jobs_unfinished ON unihooks_jobs (tenant, turn) WHERE ended_at IS NULL;
CREATE INDEX main.unihooks_jobs_paced ON unihooks_jobs (next_at) WHERE next_at IS NOT NULL;
