-- Schema 1 as Limner wrote it before 2026-11-26 (commit 374ea80), on postgresql.
CREATE TABLE keys (
  id TEXT NOT NULL,
  secret_hash BYTEA NOT NULL,
  scope TEXT NOT NULL,
  created_at FLOAT(53) NOT NULL,
  revoked_at FLOAT(53),
  PRIMARY KEY (id)
);
CREATE TABLE logs (
  seq BIGSERIAL NOT NULL,
  request_id TEXT NOT NULL,
  at FLOAT(53) NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  progress FLOAT,
  PRIMARY KEY (seq)
);
CREATE INDEX ix_logs_request_id ON logs (request_id);
CREATE TABLE requests (
  seq BIGSERIAL NOT NULL,
  id TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  path TEXT NOT NULL,
  key_id TEXT NOT NULL,
  priority SMALLINT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  worker TEXT,
  lease_until FLOAT(53),
  cancel_requested BOOLEAN NOT NULL,
  progress FLOAT NOT NULL,
  engine TEXT,
  input TEXT,
  webhook_url TEXT,
  start_by FLOAT(53),
  no_retry BOOLEAN NOT NULL,
  store_io BOOLEAN NOT NULL,
  file_lifetime FLOAT(53),
  files_base TEXT NOT NULL,
  idempotency_key TEXT,
  created_at FLOAT(53) NOT NULL,
  started_at FLOAT(53),
  finished_at FLOAT(53),
  http_status SMALLINT,
  body TEXT,
  headers TEXT,
  error TEXT,
  error_type TEXT,
  files TEXT,
  forget_at FLOAT(53),
  PRIMARY KEY (seq),
  UNIQUE (id)
);
CREATE INDEX requests_forget_at ON requests (forget_at) WHERE forget_at IS NOT NULL;
CREATE UNIQUE INDEX requests_idempotency ON requests (key_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX requests_leases ON requests (lease_until) WHERE status = 'running';
CREATE INDEX requests_start_by ON requests (start_by) WHERE status = 'queued' AND start_by IS NOT NULL;
CREATE INDEX requests_waiting ON requests (endpoint, priority, seq) WHERE status = 'queued';
CREATE TABLE schema_version (
  version INTEGER NOT NULL
);
CREATE TABLE secrets (
  name TEXT NOT NULL,
  value BYTEA NOT NULL,
  PRIMARY KEY (name)
);
CREATE TABLE webhooks (
  id BIGSERIAL NOT NULL,
  request_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  url TEXT NOT NULL,
  body BYTEA NOT NULL,
  attempts INTEGER NOT NULL,
  due_at FLOAT(53),
  last_status SMALLINT,
  last_error TEXT,
  delivered_at FLOAT(53),
  forget_at FLOAT(53) NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_webhooks_request_id ON webhooks (request_id);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;
