CREATE TABLE webhooks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts,
  url text,
  event_types text[] NOT NULL,
  body text NOT NULL CONSTRAINT webhooks_body_check CHECK (body IN ('thin', 'full')),
  is_active boolean NOT NULL DEFAULT true,
  disabled_reason text,
  after_position bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
COMMENT ON COLUMN webhooks.url IS 'null: it signs for the URLs that executions name themselves';
COMMENT ON COLUMN webhooks.after_position IS 'only events after this position are delivered';
CREATE INDEX webhooks_account_idx ON webhooks (account_id, id DESC);
CREATE UNIQUE INDEX webhooks_account_without_url_key ON webhooks (account_id) WHERE url IS NULL AND deleted_at IS NULL;

CREATE TABLE webhook_secrets (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  webhook_id bigint NOT NULL REFERENCES webhooks,
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz
);
COMMENT ON COLUMN webhook_secrets.sealed IS 'encrypted under AGENTIC_SECRET_KEY';
CREATE INDEX webhook_secrets_webhook_id_idx ON webhook_secrets (webhook_id);

-- How far events have become deliveries. One row, so that positions are read once for all endpoints.
CREATE TABLE webhook_cursor (
  only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT webhook_cursor_only_row_check CHECK (only_row),
  position bigint NOT NULL DEFAULT 0
);
INSERT INTO webhook_cursor (position) SELECT last_position FROM event_counter;

CREATE TABLE webhook_deliveries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL,
  webhook_id bigint NOT NULL REFERENCES webhooks,
  execution_id bigint REFERENCES executions ON DELETE CASCADE,
  seq integer,
  message uuid NOT NULL DEFAULT gen_random_uuid(),
  type text NOT NULL,
  occurred_at timestamptz NOT NULL,
  lane text NOT NULL,
  status text NOT NULL DEFAULT 'pending'
    CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('pending', 'delivered', 'failed', 'dropped')),
  attempts integer NOT NULL DEFAULT 0,
  claims integer NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
) WITH (fillfactor = 80);
COMMENT ON COLUMN webhook_deliveries.message IS 'the webhook-id: the same in every attempt';
COMMENT ON COLUMN webhook_deliveries.lane IS 'first attempts of one lane follow each other';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'the last attempt whose end is known';
COMMENT ON COLUMN webhook_deliveries.claims IS 'attempts begun; the fence of what records one';
COMMENT ON COLUMN webhook_deliveries.failures IS 'attempts failed since it was asked for';
CREATE UNIQUE INDEX webhook_deliveries_event_key ON webhook_deliveries (execution_id, seq, webhook_id);
CREATE INDEX webhook_deliveries_webhook_idx ON webhook_deliveries (webhook_id, id DESC);
CREATE INDEX webhook_deliveries_finished_at_idx ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX webhook_deliveries_first_idx ON webhook_deliveries (lane, id) WHERE status = 'pending' AND attempts = 0;
CREATE INDEX webhook_deliveries_retry_idx ON webhook_deliveries (lane, due_at) WHERE status = 'pending' AND attempts > 0;

CREATE TABLE webhook_attempts (
  delivery_id bigint NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
  number integer NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  status_code integer,
  milliseconds integer,
  error text,
  PRIMARY KEY (delivery_id, number)
);

ALTER TABLE executions ADD COLUMN webhook_url text;
COMMENT ON COLUMN executions.webhook_url IS 'where its client wants to be told';
