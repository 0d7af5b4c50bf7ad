-- Schema 4 as Limner wrote it until 2026-11-26 (commit 6b06e00), on sqlite.
CREATE TABLE requests ( seq INTEGER NOT NULL, id TEXT NOT NULL, endpoint TEXT NOT NULL, path TEXT NOT NULL, key_id TEXT NOT NULL, priority SMALLINT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL, losses INTEGER NOT NULL, worker TEXT, lease_until FLOAT, cancel_requested BOOLEAN NOT NULL, progress FLOAT NOT NULL, engine TEXT, preview BLOB, input TEXT, webhook_url TEXT, start_by FLOAT, no_retry BOOLEAN NOT NULL, store_io BOOLEAN NOT NULL, file_lifetime FLOAT, files_base TEXT NOT NULL, idempotency_key TEXT, created_at FLOAT NOT NULL, started_at FLOAT, finished_at FLOAT, http_status SMALLINT, body TEXT, headers TEXT, error TEXT, error_type TEXT, files TEXT, forget_at FLOAT, turn BIGINT DEFAULT '0' NOT NULL, hint TEXT, fault TEXT, trace TEXT, PRIMARY KEY (seq), UNIQUE (id) );

CREATE UNIQUE INDEX requests_idempotency ON requests (key_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX requests_forget_at ON requests (forget_at) WHERE forget_at IS NOT NULL;

CREATE INDEX requests_start_by ON requests (start_by) WHERE status = 'queued' AND start_by IS NOT NULL;

CREATE INDEX requests_order ON requests (endpoint, priority, turn, seq) WHERE status = 'queued';

CREATE INDEX requests_turns ON requests (endpoint, priority, key_id, turn) WHERE status = 'queued';

CREATE INDEX requests_running ON requests (worker, key_id) WHERE status = 'running';

CREATE TABLE logs ( seq INTEGER NOT NULL, request_id TEXT NOT NULL, at FLOAT NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL, progress FLOAT, PRIMARY KEY (seq) );

CREATE INDEX ix_logs_request_id ON logs (request_id);

CREATE TABLE webhooks ( id INTEGER NOT NULL, request_id TEXT NOT NULL, user_id TEXT NOT NULL, url TEXT NOT NULL, body BLOB NOT NULL, attempts INTEGER NOT NULL, due_at FLOAT, last_status SMALLINT, last_error TEXT, delivered_at FLOAT, forget_at FLOAT NOT NULL, PRIMARY KEY (id) );

CREATE INDEX ix_webhooks_request_id ON webhooks (request_id);

CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE keys ( id TEXT NOT NULL, secret_hash BLOB NOT NULL, scope TEXT NOT NULL, created_at FLOAT NOT NULL, revoked_at FLOAT, concurrency INTEGER, PRIMARY KEY (id) );

CREATE TABLE secrets ( name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name) );

CREATE TABLE tallies ( id INTEGER NOT NULL, endpoint TEXT NOT NULL, priority SMALLINT NOT NULL, block BIGINT NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (id) );

CREATE INDEX tallies_sums ON tallies (endpoint, priority, block, change);

CREATE TABLE outcomes ( id INTEGER NOT NULL, endpoint TEXT NOT NULL, outcome TEXT NOT NULL, number INTEGER NOT NULL, waited FLOAT NOT NULL, ran FLOAT NOT NULL, PRIMARY KEY (id) );

CREATE TABLE workers ( name TEXT NOT NULL, device TEXT NOT NULL, endpoints TEXT NOT NULL, slots INTEGER NOT NULL, free_bytes BIGINT, total_bytes BIGINT, started_at FLOAT NOT NULL, until FLOAT NOT NULL, steps BIGINT, step_seconds FLOAT, step_rows BIGINT, step_places BIGINT, PRIMARY KEY (name) );

CREATE TABLE residents ( hint TEXT NOT NULL, worker TEXT NOT NULL, PRIMARY KEY (hint, worker) );

CREATE TABLE schema_version ( version INTEGER NOT NULL );

CREATE TRIGGER tally_submitted AFTER INSERT ON requests WHEN NEW.status = 'queued' BEGIN
  INSERT INTO tallies (endpoint, priority, block, change)
  VALUES (NEW.endpoint, NEW.priority, NEW.turn >> 8, 1);
END;

CREATE TRIGGER tally_returned AFTER UPDATE ON requests WHEN NEW.status = 'queued' AND (OLD.status <> NEW.status OR OLD.turn <> NEW.turn) BEGIN
  INSERT INTO tallies (endpoint, priority, block, change)
  VALUES (NEW.endpoint, NEW.priority, NEW.turn >> 8, 1);
END;

CREATE TRIGGER tally_taken AFTER UPDATE ON requests WHEN OLD.status = 'queued' AND (OLD.status <> NEW.status OR OLD.turn <> NEW.turn) BEGIN
  INSERT INTO tallies (endpoint, priority, block, change)
  VALUES (OLD.endpoint, OLD.priority, OLD.turn >> 8, -1);
END;

CREATE TRIGGER tally_removed AFTER DELETE ON requests WHEN OLD.status = 'queued' BEGIN
  INSERT INTO tallies (endpoint, priority, block, change)
  VALUES (OLD.endpoint, OLD.priority, OLD.turn >> 8, -1);
END;

CREATE TRIGGER count_ended AFTER UPDATE ON requests WHEN NEW.status = 'done' AND OLD.status <> 'done' BEGIN 
INSERT INTO outcomes (endpoint, outcome, number, waited, ran) VALUES (NEW.endpoint,
  CASE WHEN NEW.http_status < 300 THEN 'ok' WHEN NEW.error_type IS NOT NULL THEN NEW.error_type
    WHEN NEW.fault IS NOT NULL THEN NEW.fault WHEN NEW.http_status < 500 THEN 'user_error'
    ELSE 'error' END,
  1, coalesce(NEW.started_at, NEW.finished_at) - NEW.created_at,
  NEW.finished_at - coalesce(NEW.started_at, NEW.finished_at)); END
