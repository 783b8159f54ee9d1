CREATE TABLE schedules (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts,
  agent_id bigint NOT NULL REFERENCES agents,
  execution_key text NOT NULL,
  cron text NOT NULL,
  time_zone text NOT NULL,
  input jsonb NOT NULL,
  limits jsonb NOT NULL,
  metadata jsonb NOT NULL,
  priority integer NOT NULL,
  webhook_url text,
  is_active boolean NOT NULL,
  missed text NOT NULL CONSTRAINT schedules_missed_check CHECK (missed IN ('latest', 'all', 'none')),
  overlap text NOT NULL CONSTRAINT schedules_overlap_check CHECK (overlap IN ('skip', 'queue', 'allow')),
  revision integer NOT NULL DEFAULT 1,
  next_slot timestamptz,
  last_slot timestamptz,
  last_outcome text CONSTRAINT schedules_last_outcome_check
    CHECK (last_outcome IN ('started', 'skipped', 'missed', 'refused')),
  last_refusal jsonb,
  last_execution_id bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT schedules_only_active_is_due_check CHECK (is_active OR next_slot IS NULL)
);
COMMENT ON COLUMN schedules.input IS 'as it was given: each slot''s version decodes it';
COMMENT ON COLUMN schedules.revision IS 'raised by each change of it';
COMMENT ON COLUMN schedules.last_refusal IS 'why the last slot was refused';
COMMENT ON COLUMN schedules.last_execution_id IS 'the last that it started; may be erased';
CREATE INDEX schedules_account_idx ON schedules (account_id, agent_id, id DESC);
CREATE INDEX schedules_agent_idx ON schedules (agent_id, id DESC);
CREATE INDEX schedules_due_idx ON schedules (next_slot) WHERE next_slot IS NOT NULL;

ALTER TABLE executions ADD COLUMN schedule_id bigint, ADD COLUMN schedule_slot timestamptz;
COMMENT ON COLUMN executions.schedule_id IS 'the schedule that started it; may be deleted';
-- The claim of a slot: of two workers that start for it, one finds it taken.
CREATE UNIQUE INDEX executions_schedule_slot_key ON executions (schedule_id, schedule_slot)
 WHERE schedule_id IS NOT NULL;
CREATE INDEX executions_schedule_running_idx ON executions (schedule_id)
 WHERE schedule_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX executions_account_schedule_idx ON executions (account_id, schedule_id, id DESC)
 WHERE schedule_id IS NOT NULL;

CREATE OR REPLACE VIEW reporting.executions AS
SELECT e.id,
       e.account_id,
       a.name AS account,
       e.agent_id,
       g.name AS agent,
       e.data_set_id,
       d.name AS data_set,
       e.definition_key AS definition,
       e.definition_version AS version,
       e.status,
       e.started_at,
       e.picked_up_at,
       e.finished_at,
       round(extract(epoch FROM greatest(
         coalesce(e.picked_up_at, e.finished_at, now()) - greatest(e.started_at, e.start_after), interval '0')), 3)
         AS waiting_seconds,
       round(extract(epoch FROM coalesce(e.finished_at, now()) - e.picked_up_at), 3) AS running_seconds,
       CASE WHEN e.finished_at IS NOT NULL THEN e.cycles
            ELSE (SELECT count(DISTINCT v.cycle)::integer FROM verdicts v WHERE v.execution_id = e.id)
       END AS cycles,
       e.failure_code,
       e.retryable,
       e.exit_reason,
       e.input_tokens,
       e.cached_tokens,
       e.output_tokens,
       e.cost,
       e.model_seconds,
       e.calls,
       e.is_estimated,
       e.priority,
       e.start_after,
       e.deadline,
       e.cancel_requested_at,
       e.rerun_of,
       e.external_id,
       e.metadata,
       e.schedule_id,
       e.schedule_slot
  FROM executions e
  LEFT JOIN accounts a ON a.id = e.account_id
  LEFT JOIN agents g ON g.id = e.agent_id
  LEFT JOIN data_sets d ON d.id = e.data_set_id;

COMMENT ON COLUMN reporting.executions.schedule_id IS 'The schedule that started it; null for one that a client started.';
COMMENT ON COLUMN reporting.executions.schedule_slot IS 'The moment of that schedule that it was started for.';

CREATE VIEW reporting.schedules AS
SELECT s.id,
       s.account_id,
       a.name AS account,
       s.agent_id,
       g.name AS agent,
       s.execution_key AS definition,
       s.cron,
       s.time_zone,
       s.is_active,
       s.next_slot,
       round(greatest(extract(epoch FROM now() - s.next_slot), 0), 3) AS overdue_seconds,
       s.last_slot,
       s.last_outcome,
       s.last_execution_id
  FROM schedules s
  LEFT JOIN accounts a ON a.id = s.account_id
  LEFT JOIN agents g ON g.id = s.agent_id;

COMMENT ON VIEW reporting.schedules IS 'One row per schedule.';
COMMENT ON COLUMN reporting.schedules.id IS 'The id that the API shows.';
COMMENT ON COLUMN reporting.schedules.account_id IS 'The service account that it starts executions for.';
COMMENT ON COLUMN reporting.schedules.account IS 'Name of that account.';
COMMENT ON COLUMN reporting.schedules.agent_id IS 'The agent that it starts them on.';
COMMENT ON COLUMN reporting.schedules.agent IS 'Name of that agent.';
COMMENT ON COLUMN reporting.schedules.definition IS 'Key of the definition: the API''s execution_key.';
COMMENT ON COLUMN reporting.schedules.cron IS 'The five fields that its slots follow from.';
COMMENT ON COLUMN reporting.schedules.time_zone IS 'The time zone that they are meant in.';
COMMENT ON COLUMN reporting.schedules.is_active IS 'Whether it starts anything.';
COMMENT ON COLUMN reporting.schedules.next_slot IS 'When it starts the next; null where it is not active.';
COMMENT ON COLUMN reporting.schedules.overdue_seconds IS 'How long ago that was: more than a few seconds where no worker is alive, or where it waits for the one before to end.';
COMMENT ON COLUMN reporting.schedules.last_slot IS 'The last slot that came; null before the first.';
COMMENT ON COLUMN reporting.schedules.last_outcome IS 'What became of it: started, skipped, missed or refused.';
COMMENT ON COLUMN reporting.schedules.last_execution_id IS 'The last execution that it started, which may have been deleted.';
