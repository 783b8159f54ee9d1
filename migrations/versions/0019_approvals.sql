CREATE TABLE approvals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  execution_id bigint NOT NULL REFERENCES executions ON DELETE CASCADE,
  account_id bigint NOT NULL REFERENCES accounts,
  turn integer NOT NULL,
  call integer NOT NULL,
  tool text NOT NULL,
  arguments bytea NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  decision text CONSTRAINT approvals_decision_check CHECK (decision IN ('approved', 'declined', 'expired')),
  decided_at timestamptz,
  decided_by bigint REFERENCES accounts,
  reason text,
  CONSTRAINT approvals_execution_id_turn_call_key UNIQUE (execution_id, turn, call),
  CONSTRAINT approvals_decided_check CHECK ((decision IS NULL) = (decided_at IS NULL))
);
COMMENT ON COLUMN approvals.account_id IS 'whose execution it is';
COMMENT ON COLUMN approvals.arguments IS 'JSON as the model wrote it';
COMMENT ON COLUMN approvals.decision IS 'null while nobody has decided';
COMMENT ON COLUMN approvals.decided_by IS 'null where time did';
COMMENT ON COLUMN reporting.events.worker_id IS 'The worker process that took it (started, resumed) or gave it up (waiting, paused, released); null for other kinds.';
CREATE INDEX approvals_open_idx ON approvals (account_id, id DESC) WHERE decision IS NULL;
