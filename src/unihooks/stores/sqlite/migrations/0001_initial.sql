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

-- An insert stays one statement, also on a host's connection. Rows are numbered as they are inserted, by one process
-- at a time: that is the order of emit, whatever the clock says.
CREATE TRIGGER main.unihooks_events_are_new AFTER INSERT ON unihooks_events
BEGIN INSERT INTO unihooks_new_events (tenant, place, subject, emit_order)
VALUES (NEW.tenant, NEW.id, NEW.subject, CASE WHEN NEW.subject IS NOT NULL THEN NEW.rowid END); END;

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
