-- Schema 4 as Limner wrote it until 2026-11-26 (commit 6b06e00), on postgresql.
CREATE TABLE requests ( seq BIGSERIAL NOT NULL, id TEXT NOT NULL, endpoint TEXT NOT NULL, path TEXT NOT NULL, key_id TEXT NOT NULL, priority SMALLINT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL, losses INTEGER NOT NULL, worker TEXT, lease_until FLOAT(53), cancel_requested BOOLEAN NOT NULL, progress FLOAT NOT NULL, engine TEXT, preview BYTEA, input TEXT, webhook_url TEXT, start_by FLOAT(53), no_retry BOOLEAN NOT NULL, store_io BOOLEAN NOT NULL, file_lifetime FLOAT(53), files_base TEXT NOT NULL, idempotency_key TEXT, created_at FLOAT(53) NOT NULL, started_at FLOAT(53), finished_at FLOAT(53), http_status SMALLINT, body TEXT, headers TEXT, error TEXT, error_type TEXT, files TEXT, forget_at FLOAT(53), turn BIGINT DEFAULT '0' NOT NULL, hint TEXT, fault TEXT, trace TEXT, PRIMARY KEY (seq), UNIQUE (id) );

CREATE UNIQUE INDEX requests_idempotency ON requests (key_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX requests_forget_at ON requests (forget_at) WHERE forget_at IS NOT NULL;

CREATE INDEX requests_start_by ON requests (start_by) WHERE status = 'queued' AND start_by IS NOT NULL;

CREATE INDEX requests_order ON requests (endpoint, priority, turn, seq) WHERE status = 'queued';

CREATE INDEX requests_turns ON requests (endpoint, priority, key_id, turn) WHERE status = 'queued';

CREATE INDEX requests_running ON requests (worker, key_id) WHERE status = 'running';

CREATE TABLE logs ( seq BIGSERIAL NOT NULL, request_id TEXT NOT NULL, at FLOAT(53) NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL, progress FLOAT, PRIMARY KEY (seq) );

CREATE INDEX ix_logs_request_id ON logs (request_id);

CREATE TABLE webhooks ( id BIGSERIAL NOT NULL, request_id TEXT NOT NULL, user_id TEXT NOT NULL, url TEXT NOT NULL, body BYTEA NOT NULL, attempts INTEGER NOT NULL, due_at FLOAT(53), last_status SMALLINT, last_error TEXT, delivered_at FLOAT(53), forget_at FLOAT(53) NOT NULL, PRIMARY KEY (id) );

CREATE INDEX ix_webhooks_request_id ON webhooks (request_id);

CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE keys ( id TEXT NOT NULL, secret_hash BYTEA NOT NULL, scope TEXT NOT NULL, created_at FLOAT(53) NOT NULL, revoked_at FLOAT(53), concurrency INTEGER, PRIMARY KEY (id) );

CREATE TABLE secrets ( name TEXT NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (name) );

CREATE TABLE tallies ( id BIGSERIAL NOT NULL, endpoint TEXT NOT NULL, priority SMALLINT NOT NULL, block BIGINT NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (id) );

CREATE INDEX tallies_sums ON tallies (endpoint, priority, block, change);

CREATE TABLE outcomes ( id BIGSERIAL NOT NULL, endpoint TEXT NOT NULL, outcome TEXT NOT NULL, number INTEGER NOT NULL, waited FLOAT(53) NOT NULL, ran FLOAT(53) NOT NULL, PRIMARY KEY (id) );

CREATE TABLE workers ( name TEXT NOT NULL, device TEXT NOT NULL, endpoints TEXT NOT NULL, slots INTEGER NOT NULL, free_bytes BIGINT, total_bytes BIGINT, started_at FLOAT(53) NOT NULL, until FLOAT(53) NOT NULL, steps BIGINT, step_seconds FLOAT(53), step_rows BIGINT, step_places BIGINT, PRIMARY KEY (name) );

CREATE TABLE residents ( hint TEXT NOT NULL, worker TEXT NOT NULL, PRIMARY KEY (hint, worker) );

CREATE TABLE schema_version ( version INTEGER NOT NULL );

CREATE FUNCTION limner_tally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_ARGV[0] = '1' THEN
    INSERT INTO tallies (endpoint, priority, block, change)
    VALUES (NEW.endpoint, NEW.priority, NEW.turn >> 8, 1);
  ELSE
    INSERT INTO tallies (endpoint, priority, block, change)
    VALUES (OLD.endpoint, OLD.priority, OLD.turn >> 8, -1);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER tally_submitted AFTER INSERT ON requests FOR EACH ROW WHEN (NEW.status = 'queued')
EXECUTE FUNCTION limner_tally('1');

CREATE TRIGGER tally_returned AFTER UPDATE ON requests FOR EACH ROW WHEN (NEW.status = 'queued' AND (OLD.status <> NEW.status OR OLD.turn <> NEW.turn))
EXECUTE FUNCTION limner_tally('1');

CREATE TRIGGER tally_taken AFTER UPDATE ON requests FOR EACH ROW WHEN (OLD.status = 'queued' AND (OLD.status <> NEW.status OR OLD.turn <> NEW.turn))
EXECUTE FUNCTION limner_tally('-1');

CREATE TRIGGER tally_removed AFTER DELETE ON requests FOR EACH ROW WHEN (OLD.status = 'queued')
EXECUTE FUNCTION limner_tally('-1');

CREATE FUNCTION limner_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN 
INSERT INTO outcomes (endpoint, outcome, number, waited, ran) VALUES (NEW.endpoint,
  CASE WHEN NEW.http_status < 300 THEN 'ok' WHEN NEW.error_type IS NOT NULL THEN NEW.error_type
    WHEN NEW.fault IS NOT NULL THEN NEW.fault WHEN NEW.http_status < 500 THEN 'user_error'
    ELSE 'error' END,
  1, coalesce(NEW.started_at, NEW.finished_at) - NEW.created_at,
  NEW.finished_at - coalesce(NEW.started_at, NEW.finished_at)); RETURN NULL; END $$;

CREATE TRIGGER count_ended AFTER UPDATE ON requests FOR EACH ROW WHEN (NEW.status = 'done' AND OLD.status <> 'done') EXECUTE FUNCTION limner_count();

ALTER TABLE requests SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

ALTER TABLE requests ALTER COLUMN path SET STATISTICS 0, ALTER COLUMN input SET STATISTICS 0, ALTER COLUMN preview SET STATISTICS 0, ALTER COLUMN webhook_url SET STATISTICS 0, ALTER COLUMN files_base SET STATISTICS 0, ALTER COLUMN idempotency_key SET STATISTICS 0, ALTER COLUMN hint SET STATISTICS 0, ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN headers SET STATISTICS 0, ALTER COLUMN error SET STATISTICS 0, ALTER COLUMN files SET STATISTICS 0;

ALTER TABLE logs ALTER COLUMN message SET STATISTICS 0;

ALTER TABLE webhooks ALTER COLUMN url SET STATISTICS 0, ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN last_error SET STATISTICS 0;

ALTER TABLE residents ALTER COLUMN hint SET STATISTICS 0
