CREATE TABLE accounts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    is_admin BOOLEAN DEFAULT false NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT accounts_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX accounts_name_key ON accounts (name) WHERE deleted_at IS NULL;

CREATE TABLE blobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    size_bytes BIGINT NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT blobs_pkey PRIMARY KEY (id)
);

CREATE TABLE data_sets (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT data_sets_pkey PRIMARY KEY (id)
);

CREATE TABLE event_counter (
    only_row BOOLEAN DEFAULT true NOT NULL CONSTRAINT event_counter_only_row_check CHECK (only_row),
    last_position BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT event_counter_pkey PRIMARY KEY (only_row)
);

CREATE TABLE running_limits (
    scope TEXT NOT NULL CONSTRAINT running_limits_scope_check CHECK (scope IN ('account', 'agent')),
    scope_id BIGINT NOT NULL,
    max_running INTEGER NOT NULL CONSTRAINT running_limits_max_running_check CHECK (max_running >= 0),
    CONSTRAINT running_limits_pkey PRIMARY KEY (scope, scope_id)
);

CREATE TABLE workers (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    queue_worker_id BIGINT,
    offers TEXT[] NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT workers_pkey PRIMARY KEY (id)
);

COMMENT ON COLUMN workers.queue_worker_id IS 'Procrastinate''s id; its heartbeat is not used';

COMMENT ON COLUMN workers.offers IS 'definitions it has, as key@version';

CREATE TABLE account_data_sets (
    account_id BIGINT NOT NULL,
    data_set_id BIGINT NOT NULL,
    CONSTRAINT account_data_sets_pkey PRIMARY KEY (account_id, data_set_id),
    CONSTRAINT account_data_sets_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT account_data_sets_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id)
);

CREATE INDEX account_data_sets_data_set_id_idx ON account_data_sets (data_set_id);

CREATE TABLE agents (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    agent_type TEXT NOT NULL,
    data_set_id BIGINT NOT NULL,
    file_upload BOOLEAN DEFAULT false NOT NULL,
    model TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT agents_pkey PRIMARY KEY (id),
    CONSTRAINT agents_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id)
);

CREATE INDEX agents_data_set_id_idx ON agents (data_set_id);

COMMENT ON COLUMN agents.model IS 'a model name such as local:smollm2; null takes the setting';

CREATE TABLE blob_chunks (
    blob_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    data BYTEA NOT NULL,
    CONSTRAINT blob_chunks_pkey PRIMARY KEY (blob_id, number),
    CONSTRAINT blob_chunks_blob_id_fkey FOREIGN KEY(blob_id) REFERENCES blobs (id) ON DELETE CASCADE
);

COMMENT ON COLUMN blob_chunks.number IS '0, 1, …; all but the last are 256 KiB';

CREATE TABLE products (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_set_id BIGINT NOT NULL,
    sku TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    details JSONB DEFAULT '{}'::jsonb NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT products_pkey PRIMARY KEY (id),
    CONSTRAINT products_data_set_id_sku_key UNIQUE (data_set_id, sku),
    CONSTRAINT products_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id)
);

CREATE TABLE tokens (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT tokens_pkey PRIMARY KEY (id),
    CONSTRAINT tokens_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT tokens_digest_key UNIQUE (digest)
);

CREATE INDEX tokens_account_id_idx ON tokens (account_id);

COMMENT ON COLUMN tokens.digest IS 'sha256 of the whole token';

CREATE TABLE conversations (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    summary TEXT,
    CONSTRAINT conversations_pkey PRIMARY KEY (id),
    CONSTRAINT conversations_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT conversations_agent_id_fkey FOREIGN KEY(agent_id) REFERENCES agents (id)
);

CREATE INDEX conversations_account_id_idx ON conversations (account_id);

CREATE TABLE executions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    data_set_id BIGINT NOT NULL,
    conversation_id BIGINT NOT NULL,
    celery_task_id UUID NOT NULL,
    definition_key TEXT NOT NULL,
    definition_version INTEGER NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL CONSTRAINT executions_status_check CHECK (status IN ('pending', 'in_progress', 'finished', 'failed')),
    input JSONB NOT NULL,
    result JSONB,
    failure_code TEXT,
    failure_explanation TEXT,
    retryable BOOLEAN,
    cycles INTEGER DEFAULT 0 NOT NULL,
    external_id TEXT,
    metadata JSONB DEFAULT '{}'::jsonb NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    start_after TIMESTAMP WITH TIME ZONE,
    deadline TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    picked_up_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT executions_pkey PRIMARY KEY (id),
    CONSTRAINT executions_final_has_finished_at_check CHECK ((status IN ('finished', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT executions_failed_has_code_check CHECK ((status = 'failed') = (failure_code IS NOT NULL AND failure_explanation <> '')),
    CONSTRAINT executions_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT executions_agent_id_fkey FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT executions_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id),
    CONSTRAINT executions_conversation_id_key UNIQUE (conversation_id),
    CONSTRAINT executions_conversation_id_fkey FOREIGN KEY(conversation_id) REFERENCES conversations (id),
    CONSTRAINT executions_celery_task_id_key UNIQUE (celery_task_id)
);

CREATE INDEX executions_account_agent_idx ON executions (account_id, agent_id, id DESC);

CREATE INDEX executions_account_data_set_idx ON executions (account_id, data_set_id, id DESC);

CREATE INDEX executions_account_idx ON executions (account_id, id DESC);

CREATE INDEX executions_account_status_idx ON executions (account_id, status, id DESC);

COMMENT ON COLUMN executions.celery_task_id IS 'ours, made before the row';

COMMENT ON COLUMN executions.cycles IS 'cycles judged; set with the outcome';

CREATE TABLE files (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    conversation_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    blob_id BIGINT NOT NULL,
    filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    text TEXT,
    text_characters INTEGER,
    text_truncated BOOLEAN,
    text_problem TEXT,
    text_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT files_pkey PRIMARY KEY (id),
    CONSTRAINT files_conversation_id_filename_key UNIQUE (conversation_id, filename),
    CONSTRAINT files_conversation_id_fkey FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT files_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT files_blob_id_fkey FOREIGN KEY(blob_id) REFERENCES blobs (id)
);

CREATE INDEX files_account_id_idx ON files (account_id);

CREATE INDEX files_blob_id_idx ON files (blob_id);

COMMENT ON COLUMN files.text IS 'extracted once, in the worker';

COMMENT ON COLUMN files.text_characters IS 'characters of the whole text, before any cut';

COMMENT ON COLUMN files.text_problem IS 'why there is no text, for the model and the explanation';

CREATE TABLE events (
    execution_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    position BIGINT,
    kind TEXT NOT NULL,
    data JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (execution_id, seq),
    CONSTRAINT events_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);

CREATE INDEX events_account_position_idx ON events (account_id, position);

CREATE INDEX events_unnumbered_idx ON events (execution_id, seq) WHERE position IS NULL;

COMMENT ON COLUMN events.position IS 'an integer cursor over an account''s events';

CREATE TABLE execution_runtime (
    execution_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    definition TEXT NOT NULL,
    priority INTEGER NOT NULL,
    phase TEXT DEFAULT 'ready' NOT NULL CONSTRAINT execution_runtime_phase_check CHECK (phase IN ('ready', 'waiting', 'running')),
    ready_since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    resume_at TIMESTAMP WITH TIME ZONE,
    worker_id BIGINT,
    epoch INTEGER DEFAULT 0 NOT NULL,
    losses INTEGER DEFAULT 0 NOT NULL,
    next_event INTEGER DEFAULT 2 NOT NULL,
    cancel_asked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT execution_runtime_pkey PRIMARY KEY (execution_id),
    CONSTRAINT execution_runtime_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE,
    CONSTRAINT execution_runtime_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE SET NULL
)
 WITH (fillfactor = 50);

CREATE INDEX runtime_ready ON execution_runtime (account_id, agent_id, definition, priority DESC, execution_id) WHERE phase = 'ready';

CREATE INDEX runtime_running ON execution_runtime (account_id, agent_id) WHERE phase = 'running';

CREATE INDEX runtime_waiting ON execution_runtime (resume_at) WHERE phase = 'waiting';

CREATE INDEX runtime_worker ON execution_runtime (worker_id) WHERE phase = 'running';

COMMENT ON COLUMN execution_runtime.definition IS 'key@version: with account and agent, the lane';

COMMENT ON COLUMN execution_runtime.next_event IS 'event 1 is the acceptance';

CREATE TABLE turns (
    execution_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    cycle INTEGER NOT NULL,
    item TEXT,
    model TEXT NOT NULL,
    request_digest BYTEA NOT NULL,
    request BYTEA NOT NULL,
    answer BYTEA,
    finish_reason TEXT,
    attempts INTEGER DEFAULT 1 NOT NULL,
    input_tokens BIGINT,
    cached_tokens BIGINT,
    output_tokens BIGINT,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT turns_pkey PRIMARY KEY (execution_id, number),
    CONSTRAINT turns_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);

COMMENT ON COLUMN turns.number IS '1, 2, … over the whole execution';

COMMENT ON COLUMN turns.item IS 'the part of the work that was asked for; null is all of it';

COMMENT ON COLUMN turns.request_digest IS 'sha256 of the request';

COMMENT ON COLUMN turns.request IS 'what this turn added to the prompt, JSON, capped';

COMMENT ON COLUMN turns.answer IS 'what the model answered, as it came, capped';

COMMENT ON COLUMN turns.attempts IS '1 + calls repeated after a crash';

CREATE TABLE verdicts (
    execution_id BIGINT NOT NULL,
    cycle INTEGER NOT NULL,
    number INTEGER NOT NULL,
    validator TEXT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT verdicts_kind_check CHECK (kind IN ('accept', 'retry', 'reject')),
    code TEXT,
    explanation TEXT,
    issues JSONB DEFAULT '[]'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT verdicts_pkey PRIMARY KEY (execution_id, cycle, number),
    CONSTRAINT verdicts_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);

COMMENT ON COLUMN verdicts.number IS 'order of speaking within the cycle';

COMMENT ON COLUMN verdicts.issues IS '[{path, message, hint}]';

CREATE TABLE tool_calls (
    execution_id BIGINT NOT NULL,
    turn INTEGER NOT NULL,
    number INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments BYTEA NOT NULL,
    result BYTEA,
    succeeded BOOLEAN,
    idempotency_key TEXT NOT NULL,
    attempts INTEGER DEFAULT 1 NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT tool_calls_pkey PRIMARY KEY (execution_id, turn, number),
    CONSTRAINT tool_calls_execution_id_fkey FOREIGN KEY(execution_id, turn) REFERENCES turns (execution_id, number) ON DELETE CASCADE
);

COMMENT ON COLUMN tool_calls.number IS '1, 2, … within the turn';

COMMENT ON COLUMN tool_calls.call_id IS 'the model''s own id of the call';

COMMENT ON COLUMN tool_calls.succeeded IS 'null while the call runs or ran when its worker died';

-- Chunks are compressed formats or opaque bytes: stored outside the row, never compressed again.
ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

INSERT INTO event_counter (last_position) VALUES (0);
