-- An event is written once, with its row in new_events. One that could not be planned is set aside, and plan_error says
-- why.
CREATE TABLE unihooks.events (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    product text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    created_at bigint NOT NULL,
    subject text COLLATE "C",
    plan_error text,
    PRIMARY KEY (tenant, id)
) PARTITION BY RANGE (id);

CREATE INDEX events_by_time ON unihooks.events (created_at);
CREATE INDEX events_by_subject ON unihooks.events (tenant, subject, id) WHERE subject IS NOT NULL;

-- Events, deliveries that have ended, and attempts have a partition for each day, which the store makes ahead. Here go
-- those of days that have none.
CREATE TABLE unihooks.events_others PARTITION OF unihooks.events DEFAULT
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- A key that is used again answers with the event that it was used for first.
CREATE TABLE unihooks.event_keys (
    tenant text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    digest bytea,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, idempotency_key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The key of an event is found by its time, which is the same here, and those that are to be forgotten are.
CREATE INDEX event_keys_by_time ON unihooks.event_keys (created_at, event_id);

-- A pending delivery is leased while token is set and due_at, the end of its lease, lies ahead.
-- rendering is NULL where the event's own bytes are sent. The id of an original follows from its event and endpoint, so
-- that there is one; a replay has a random one. status_code is that of the last attempt, 0 where that had no response,
-- NULL where it delivered, or there was none. sequence is set for deliveries of an ordered webhook: of those of one
-- subject to one endpoint, all but the first pending one wait, with a due_at that never comes (2^62), until the
-- transaction that ends the one before makes them due.
CREATE TABLE unihooks.deliveries (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    product text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    subject text COLLATE "C",
    rendering text COLLATE "C",
    state text COLLATE "C" NOT NULL,
    due_at bigint NOT NULL,
    token bigint,
    sequence bigint,
    attempt_count integer NOT NULL DEFAULT 0,
    first_attempt_at bigint,
    held_base bigint,
    status_code smallint,
    reason text,
    replay_of text COLLATE "C",
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id, state)
) PARTITION BY LIST (state);

CREATE INDEX deliveries_by_webhook ON unihooks.deliveries (webhook_id, id);
CREATE INDEX deliveries_by_subject ON unihooks.deliveries (tenant, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX deliveries_replayed ON unihooks.deliveries (event_id) WHERE replay_of IS NOT NULL;
CREATE INDEX deliveries_refused ON unihooks.deliveries (tenant, id, status_code) WHERE status_code IS NOT NULL;

-- The queue is small, and changes all the time; what has ended is written once, and kept by days.
CREATE TABLE unihooks.deliveries_pending PARTITION OF unihooks.deliveries FOR VALUES IN ('pending')
WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

CREATE INDEX deliveries_due ON unihooks.deliveries_pending (endpoint_id, due_at);
CREATE INDEX deliveries_ordered ON unihooks.deliveries_pending (endpoint_id, subject, sequence)
    WHERE sequence IS NOT NULL;

CREATE TABLE unihooks.deliveries_ended PARTITION OF unihooks.deliveries
FOR VALUES IN ('delivered', 'failed', 'cancelled') PARTITION BY RANGE (id);

CREATE INDEX deliveries_by_type ON unihooks.deliveries_ended (tenant, event_type, id);
-- They are few, and what customers look for.
CREATE INDEX deliveries_undelivered ON unihooks.deliveries_ended (tenant, state, id)
    WHERE state IN ('failed', 'cancelled');
CREATE INDEX deliveries_undelivered_by_webhook ON unihooks.deliveries_ended (webhook_id, state, id)
    WHERE state IN ('failed', 'cancelled');

CREATE TABLE unihooks.deliveries_others PARTITION OF unihooks.deliveries_ended DEFAULT
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE unihooks.attempts_others PARTITION OF unihooks.attempts DEFAULT
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
