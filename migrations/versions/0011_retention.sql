-- How long contents (prompts, results of tools, files) and executions are kept; null: for good.
ALTER TABLE data_sets
  ADD COLUMN content_days integer DEFAULT 90 CONSTRAINT data_sets_content_days_check CHECK (content_days > 0),
  ADD COLUMN execution_days integer CONSTRAINT data_sets_execution_days_check CHECK (execution_days > 0);
COMMENT ON COLUMN data_sets.content_days IS 'days that prompts, results of tools and files are kept after the outcome; null: for good';
COMMENT ON COLUMN data_sets.execution_days IS 'days that executions are kept after their outcome; null: for good';

ALTER TABLE executions ADD COLUMN content_erased_at timestamptz;
ALTER TABLE files ALTER COLUMN blob_id DROP NOT NULL;
COMMENT ON COLUMN files.blob_id IS 'null when its time was over';
ALTER TABLE idempotency_keys ADD COLUMN execution_ids bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN idempotency_keys.execution_ids IS 'what the request started';

-- What retention has to do, per data set; a row is in one of them, and in none when both are done with it.
CREATE INDEX executions_contents_idx ON executions (data_set_id, finished_at)
 WHERE finished_at IS NOT NULL AND content_erased_at IS NULL;
CREATE INDEX executions_erased_idx ON executions (data_set_id, finished_at) WHERE content_erased_at IS NOT NULL;
CREATE INDEX executions_finished_at_idx ON executions USING brin (finished_at) WITH (autosummarize = on);

CREATE TABLE daily_totals (
  day date NOT NULL,
  account_id bigint NOT NULL,
  data_set_id bigint NOT NULL,
  agent_id bigint NOT NULL,
  definition text NOT NULL,
  version integer NOT NULL,
  status text NOT NULL,
  failure_code text NOT NULL,
  executions bigint NOT NULL,
  cycles bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cost numeric NOT NULL,
  unpriced bigint NOT NULL,
  calls bigint NOT NULL,
  model_seconds numeric NOT NULL,
  waiting_seconds numeric NOT NULL,
  running_seconds numeric NOT NULL,
  PRIMARY KEY (day, account_id, data_set_id, agent_id, definition, version, status, failure_code)
);
COMMENT ON COLUMN daily_totals.day IS 'UTC, of the outcome';
COMMENT ON COLUMN daily_totals.failure_code IS 'empty if finished';
COMMENT ON COLUMN daily_totals.cost IS 'US dollars of those whose price is known';
COMMENT ON COLUMN daily_totals.unpriced IS 'executions whose price is not known';

CREATE TABLE totals_progress (
  only_row boolean DEFAULT true NOT NULL CONSTRAINT totals_progress_only_row_check CHECK (only_row),
  until_day date NOT NULL,
  PRIMARY KEY (only_row)
);
COMMENT ON COLUMN totals_progress.until_day IS 'days before it are closed';
INSERT INTO totals_progress (until_day)
SELECT (coalesce(min(finished_at), now()) AT TIME ZONE 'UTC')::date FROM executions;

-- Closed days as they were totalled; days that are not closed yet from the executions themselves, with what of them was
-- deleted since.
CREATE VIEW reporting.daily AS
SELECT t.day, t.account_id, a.name AS account, t.data_set_id, d.name AS data_set, t.agent_id, g.name AS agent,
       t.definition, t.version, t.status, nullif(t.failure_code, '') AS failure_code,
       sum(t.executions)::bigint AS executions, sum(t.cycles)::bigint AS cycles,
       sum(t.input_tokens)::bigint AS input_tokens, sum(t.cached_tokens)::bigint AS cached_tokens,
       sum(t.output_tokens)::bigint AS output_tokens, sum(t.cost) AS cost, sum(t.unpriced)::bigint AS unpriced,
       sum(t.calls)::bigint AS calls, sum(t.model_seconds) AS model_seconds,
       sum(t.waiting_seconds) AS waiting_seconds, sum(t.running_seconds) AS running_seconds
  FROM (
    SELECT day, account_id, data_set_id, agent_id, definition, version, status, failure_code, executions, cycles,
           input_tokens, cached_tokens, output_tokens, cost, unpriced, calls, model_seconds, waiting_seconds,
           running_seconds
      FROM daily_totals
    UNION ALL
    SELECT (e.finished_at AT TIME ZONE 'UTC')::date, e.account_id, e.data_set_id, e.agent_id, e.definition_key,
           e.definition_version, e.status, coalesce(e.failure_code, ''), 1, e.cycles,
           coalesce(e.input_tokens, 0), coalesce(e.cached_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.cost, 0),
           CASE WHEN e.calls > 0 AND e.cost IS NULL THEN 1 ELSE 0 END, coalesce(e.calls, 0),
           coalesce(e.model_seconds, 0),
           round(extract(epoch FROM coalesce(e.picked_up_at, e.finished_at) - e.started_at), 3),
           round(coalesce(extract(epoch FROM e.finished_at - e.picked_up_at), 0), 3)
      FROM executions e
     WHERE e.finished_at >= (SELECT until_day::timestamp AT TIME ZONE 'UTC' FROM totals_progress)) t
  LEFT JOIN accounts a ON a.id = t.account_id
  LEFT JOIN data_sets d ON d.id = t.data_set_id
  LEFT JOIN agents g ON g.id = t.agent_id
 GROUP BY t.day, t.account_id, a.name, t.data_set_id, d.name, t.agent_id, g.name, t.definition, t.version, t.status,
          t.failure_code;

COMMENT ON VIEW reporting.daily IS 'What ended, per day (UTC); it stays as it was when executions are deleted.';
COMMENT ON COLUMN reporting.daily.day IS 'The day of the outcome, UTC.';
COMMENT ON COLUMN reporting.daily.account_id IS 'Whose executions.';
COMMENT ON COLUMN reporting.daily.account IS 'Its name now.';
COMMENT ON COLUMN reporting.daily.data_set_id IS 'Of which data set.';
COMMENT ON COLUMN reporting.daily.data_set IS 'Its name now.';
COMMENT ON COLUMN reporting.daily.agent_id IS 'Of which agent.';
COMMENT ON COLUMN reporting.daily.agent IS 'Its name now.';
COMMENT ON COLUMN reporting.daily.definition IS 'The key of the definition.';
COMMENT ON COLUMN reporting.daily.version IS 'Its version.';
COMMENT ON COLUMN reporting.daily.status IS 'finished or failed.';
COMMENT ON COLUMN reporting.daily.failure_code IS 'Why they failed; null if finished.';
COMMENT ON COLUMN reporting.daily.executions IS 'How many ended so.';
COMMENT ON COLUMN reporting.daily.cycles IS 'Cycles that were judged.';
COMMENT ON COLUMN reporting.daily.input_tokens IS 'Tokens of all prompts.';
COMMENT ON COLUMN reporting.daily.cached_tokens IS 'Those that came from a provider''s cache.';
COMMENT ON COLUMN reporting.daily.output_tokens IS 'Tokens that models wrote.';
COMMENT ON COLUMN reporting.daily.cost IS 'US dollars of those whose price is known.';
COMMENT ON COLUMN reporting.daily.unpriced IS 'Executions whose price is not known: their cost is not in the sum.';
COMMENT ON COLUMN reporting.daily.calls IS 'Requests to models.';
COMMENT ON COLUMN reporting.daily.model_seconds IS 'Seconds of requests that brought an answer.';
COMMENT ON COLUMN reporting.daily.waiting_seconds IS 'Seconds from acceptance to the first worker, summed.';
COMMENT ON COLUMN reporting.daily.running_seconds IS 'Seconds from the first worker to the outcome, summed.';
