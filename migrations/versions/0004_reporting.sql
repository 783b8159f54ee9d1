-- What analysts read. Views run with their owner's rights: a reader needs SELECT on them and nothing on the tables.
-- Columns are a promise: later revisions add to the end (CREATE OR REPLACE VIEW) and never rename or drop.
-- Names come by LEFT JOIN over primary keys, which the planner leaves out of a query that does not ask for them.
-- No column carries an input, an answer, an explanation, a message, or a path into an answer (its segments are keys
-- that the model wrote).
CREATE SCHEMA reporting;

-- Ids and times rise together, so a few pages of index find a day among millions of rows (9 ms instead of 107 at 200,000).
CREATE INDEX executions_started_at_idx ON executions USING brin (started_at) WITH (autosummarize = on);

COMMENT ON SCHEMA reporting IS 'What analysts read: stable columns, UTC, no inputs and no answers.';

CREATE VIEW reporting.executions AS
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
       round(extract(epoch FROM coalesce(e.picked_up_at, e.finished_at, now()) - e.started_at), 3) AS waiting_seconds,
       round(extract(epoch FROM coalesce(e.finished_at, now()) - e.picked_up_at), 3) AS running_seconds,
       CASE WHEN e.finished_at IS NOT NULL THEN e.cycles
            ELSE (SELECT count(DISTINCT v.cycle)::integer FROM verdicts v WHERE v.execution_id = e.id)
       END AS cycles,
       e.failure_code,
       e.retryable
  FROM executions e
  LEFT JOIN accounts a ON a.id = e.account_id
  LEFT JOIN agents g ON g.id = e.agent_id
  LEFT JOIN data_sets d ON d.id = e.data_set_id;

COMMENT ON VIEW reporting.executions IS 'One row per execution, from acceptance on.';
COMMENT ON COLUMN reporting.executions.id IS 'The id that the API shows.';
COMMENT ON COLUMN reporting.executions.account_id IS 'The service account that started it.';
COMMENT ON COLUMN reporting.executions.account IS 'Name of that account.';
COMMENT ON COLUMN reporting.executions.agent_id IS 'The agent it was started on.';
COMMENT ON COLUMN reporting.executions.agent IS 'Name of that agent.';
COMMENT ON COLUMN reporting.executions.data_set_id IS 'The agent''s data set when it was started.';
COMMENT ON COLUMN reporting.executions.data_set IS 'Name of that data set.';
COMMENT ON COLUMN reporting.executions.definition IS 'Key of the definition: the API''s execution_key.';
COMMENT ON COLUMN reporting.executions.version IS 'Version of the definition; it stays what it was at the start.';
COMMENT ON COLUMN reporting.executions.status IS 'pending, in_progress, finished or failed.';
COMMENT ON COLUMN reporting.executions.started_at IS 'When it was accepted.';
COMMENT ON COLUMN reporting.executions.picked_up_at IS 'When a worker first took it; null before.';
COMMENT ON COLUMN reporting.executions.finished_at IS 'When its outcome was recorded; null before.';
COMMENT ON COLUMN reporting.executions.waiting_seconds IS 'From acceptance to the first worker, or to the outcome if no worker took it; so far, while it is pending.';
COMMENT ON COLUMN reporting.executions.running_seconds IS 'From the first worker to the outcome, pauses included; so far, while it runs; null if no worker took it.';
COMMENT ON COLUMN reporting.executions.cycles IS 'Proposed answers that were judged; more than 1 means that it was corrected.';
COMMENT ON COLUMN reporting.executions.failure_code IS 'Why it failed; null unless status is failed.';
COMMENT ON COLUMN reporting.executions.retryable IS 'Whether the same request may succeed later; null unless status is failed.';

CREATE VIEW reporting.cycles AS
SELECT t.execution_id,
       t.cycle,
       t.turns,
       coalesce(c.tool_calls, 0) AS tool_calls,
       coalesce(c.failed_tool_calls, 0) AS failed_tool_calls,
       t.model,
       t.input_tokens,
       t.cached_tokens,
       t.output_tokens,
       t.started_at,
       t.seconds,
       coalesce(v.retried_by, ARRAY[]::text[]) AS retried_by,
       coalesce(v.rejected_by, ARRAY[]::text[]) AS rejected_by,
       v.is_accepted
  FROM (SELECT execution_id, cycle, count(*)::integer AS turns, max(model) AS model,
               coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
               coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
               coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
               min(started_at) AS started_at,
               round(extract(epoch FROM max(finished_at) - min(started_at)), 3) AS seconds
          FROM turns GROUP BY execution_id, cycle) t
  LEFT JOIN (SELECT u.execution_id, u.cycle, count(*)::integer AS tool_calls,
                    (count(*) FILTER (WHERE NOT k.succeeded))::integer AS failed_tool_calls
               FROM tool_calls k JOIN turns u ON u.execution_id = k.execution_id AND u.number = k.turn
              GROUP BY u.execution_id, u.cycle) c ON c.execution_id = t.execution_id AND c.cycle = t.cycle
  LEFT JOIN (SELECT execution_id, cycle,
                    array_agg(validator ORDER BY number) FILTER (WHERE kind = 'retry') AS retried_by,
                    array_agg(validator ORDER BY number) FILTER (WHERE kind = 'reject') AS rejected_by,
                    bool_and(kind = 'accept') AS is_accepted
               FROM verdicts GROUP BY execution_id, cycle) v ON v.execution_id = t.execution_id AND v.cycle = t.cycle;

COMMENT ON VIEW reporting.cycles IS 'One row per cycle: a proposed answer with the turns that led to it and what the validators said.';
COMMENT ON COLUMN reporting.cycles.execution_id IS 'The execution.';
COMMENT ON COLUMN reporting.cycles.cycle IS '1 is the first proposal, the rest are corrections.';
COMMENT ON COLUMN reporting.cycles.turns IS 'Requests to the model.';
COMMENT ON COLUMN reporting.cycles.tool_calls IS 'Tool calls that the model asked for.';
COMMENT ON COLUMN reporting.cycles.failed_tool_calls IS 'Those that failed, timed out or had wrong arguments.';
COMMENT ON COLUMN reporting.cycles.model IS 'The model that was asked.';
COMMENT ON COLUMN reporting.cycles.input_tokens IS 'Tokens of the prompts, cached ones included, as the provider counted.';
COMMENT ON COLUMN reporting.cycles.cached_tokens IS 'Tokens of the prompts that came from the provider''s cache.';
COMMENT ON COLUMN reporting.cycles.output_tokens IS 'Tokens that the model wrote.';
COMMENT ON COLUMN reporting.cycles.started_at IS 'When its first turn began.';
COMMENT ON COLUMN reporting.cycles.seconds IS 'From its first turn to the end of its last finished one; null before the first has ended.';
COMMENT ON COLUMN reporting.cycles.retried_by IS 'Validators that asked for a correction, in the order they spoke.';
COMMENT ON COLUMN reporting.cycles.rejected_by IS 'Validators that ended the execution.';
COMMENT ON COLUMN reporting.cycles.is_accepted IS 'Whether every validator accepted; null until it is judged.';

CREATE VIEW reporting.verdicts AS
SELECT execution_id, cycle, number, validator, kind, code, jsonb_array_length(issues) AS issues,
       created_at AS spoken_at
  FROM verdicts;

COMMENT ON VIEW reporting.verdicts IS 'One row per validator and cycle.';
COMMENT ON COLUMN reporting.verdicts.execution_id IS 'The execution.';
COMMENT ON COLUMN reporting.verdicts.cycle IS 'The cycle that was judged.';
COMMENT ON COLUMN reporting.verdicts.number IS 'Order of speaking within the cycle.';
COMMENT ON COLUMN reporting.verdicts.validator IS 'Name of the validator; output is the decoding of the answer.';
COMMENT ON COLUMN reporting.verdicts.kind IS 'accept, retry or reject.';
COMMENT ON COLUMN reporting.verdicts.code IS 'Failure code of a rejection; null otherwise.';
COMMENT ON COLUMN reporting.verdicts.issues IS 'How many things were wrong.';
COMMENT ON COLUMN reporting.verdicts.spoken_at IS 'When the verdict was recorded.';

CREATE VIEW reporting.workers AS
SELECT w.id,
       w.name,
       w.host,
       w.pid,
       w.lease_until > now() AS is_alive,
       round(extract(epoch FROM w.lease_until - now()), 3) AS lease_seconds_left,
       coalesce(r.running, 0) AS running,
       w.concurrency,
       CASE WHEN w.lease_until > now() THEN greatest(w.concurrency - coalesce(r.running, 0), 0) ELSE 0 END
         AS free_slots,
       w.offers,
       w.started_at
  FROM workers w
  LEFT JOIN (SELECT worker_id, count(*)::integer AS running
               FROM execution_runtime WHERE phase = 'running' GROUP BY worker_id) r ON r.worker_id = w.id;

COMMENT ON VIEW reporting.workers IS 'One row per worker process that is alive or was lost a moment ago.';
COMMENT ON COLUMN reporting.workers.id IS 'Changes when the process starts again.';
COMMENT ON COLUMN reporting.workers.name IS 'Name from its settings, else host and process id.';
COMMENT ON COLUMN reporting.workers.host IS 'Host that it runs on.';
COMMENT ON COLUMN reporting.workers.pid IS 'Its process id there.';
COMMENT ON COLUMN reporting.workers.is_alive IS 'Whether its lease holds.';
COMMENT ON COLUMN reporting.workers.lease_seconds_left IS 'Seconds until the lease ends unless it is renewed; negative after.';
COMMENT ON COLUMN reporting.workers.running IS 'Executions that it runs.';
COMMENT ON COLUMN reporting.workers.concurrency IS 'Executions that it may run side by side.';
COMMENT ON COLUMN reporting.workers.free_slots IS 'Executions that it could take now; 0 when it is not alive.';
COMMENT ON COLUMN reporting.workers.offers IS 'Definitions that it has, each as key@version.';
COMMENT ON COLUMN reporting.workers.started_at IS 'When the process took its lease.';

CREATE VIEW reporting.queue AS
SELECT split_part(r.definition, '@', 1) AS definition,
       nullif(split_part(r.definition, '@', 2), '')::integer AS version,
       (count(*) FILTER (WHERE r.phase = 'ready'))::integer AS ready,
       (count(*) FILTER (WHERE r.phase = 'waiting'))::integer AS waiting,
       (count(*) FILTER (WHERE r.phase = 'running'))::integer AS running,
       min(r.ready_since) FILTER (WHERE r.phase = 'ready') AS oldest_ready_at,
       round(extract(epoch FROM now() - min(r.ready_since) FILTER (WHERE r.phase = 'ready')), 3)
         AS oldest_ready_seconds,
       (SELECT count(*)::integer FROM workers w WHERE w.lease_until > now() AND r.definition = ANY (w.offers))
         AS live_workers
  FROM execution_runtime r
 GROUP BY r.definition;

COMMENT ON VIEW reporting.queue IS 'One row per definition that has executions without an outcome.';
COMMENT ON COLUMN reporting.queue.definition IS 'Key of the definition.';
COMMENT ON COLUMN reporting.queue.version IS 'Version of the definition.';
COMMENT ON COLUMN reporting.queue.ready IS 'Executions that a worker could start now.';
COMMENT ON COLUMN reporting.queue.waiting IS 'Executions that wait for a time or an event and hold no slot.';
COMMENT ON COLUMN reporting.queue.running IS 'Executions that a worker holds.';
COMMENT ON COLUMN reporting.queue.oldest_ready_at IS 'Since when the oldest ready one is ready; null without one.';
COMMENT ON COLUMN reporting.queue.oldest_ready_seconds IS 'The same as an age.';
COMMENT ON COLUMN reporting.queue.live_workers IS 'Workers that are alive and have this version.';

CREATE VIEW reporting.stuck AS
WITH open_definitions AS (
  SELECT offer AS definition, sum(w.free_slots) AS free_slots
    FROM reporting.workers w CROSS JOIN LATERAL unnest(w.offers) AS offer
   WHERE w.is_alive GROUP BY offer),
full_scopes AS (
  SELECT l.scope, l.scope_id
    FROM running_limits l
   WHERE l.max_running <= (SELECT count(*) FROM execution_runtime r
                            WHERE r.phase = 'running'
                              AND CASE l.scope WHEN 'account' THEN r.account_id ELSE r.agent_id END = l.scope_id)),
found AS (
  SELECT r.execution_id, r.account_id, r.agent_id, r.definition, NULL::bigint AS worker_id, r.ready_since AS since_at,
         CASE WHEN o.definition IS NULL THEN 'no_worker' ELSE 'not_picked_up' END AS reason
    FROM execution_runtime r
    LEFT JOIN open_definitions o ON o.definition = r.definition
   WHERE r.phase = 'ready'
     AND (o.definition IS NULL OR o.free_slots > 0)
     AND NOT EXISTS (SELECT FROM full_scopes f WHERE f.scope = 'account' AND f.scope_id = r.account_id)
     AND NOT EXISTS (SELECT FROM full_scopes f WHERE f.scope = 'agent' AND f.scope_id = r.agent_id)
  UNION ALL
  SELECT r.execution_id, r.account_id, r.agent_id, r.definition, r.worker_id,
         coalesce(w.lease_until, '-infinity'::timestamptz), 'worker_lost'
    FROM execution_runtime r LEFT JOIN workers w ON w.id = r.worker_id
   WHERE r.phase = 'running'
  UNION ALL
  SELECT r.execution_id, r.account_id, r.agent_id, r.definition, NULL, r.resume_at, 'not_resumed'
    FROM execution_runtime r
   WHERE r.phase = 'waiting')
SELECT f.execution_id,
       f.account_id,
       f.agent_id,
       split_part(f.definition, '@', 1) AS definition,
       nullif(split_part(f.definition, '@', 2), '')::integer AS version,
       f.reason,
       nullif(f.since_at, '-infinity') AS since_at,
       CASE WHEN isfinite(f.since_at) THEN round(extract(epoch FROM now() - f.since_at), 3) END AS seconds,
       f.worker_id
  FROM found f
 WHERE f.since_at < now() - interval '10 seconds';

COMMENT ON VIEW reporting.stuck IS 'Executions that should have moved on more than 10 seconds ago; empty on a healthy day.';
COMMENT ON COLUMN reporting.stuck.execution_id IS 'The execution.';
COMMENT ON COLUMN reporting.stuck.account_id IS 'The service account that started it.';
COMMENT ON COLUMN reporting.stuck.agent_id IS 'The agent it was started on.';
COMMENT ON COLUMN reporting.stuck.definition IS 'Key of the definition.';
COMMENT ON COLUMN reporting.stuck.version IS 'Version of the definition.';
COMMENT ON COLUMN reporting.stuck.reason IS 'not_picked_up (ready while a live worker that has the definition has a free slot and no limit holds it back), no_worker (ready while no live worker has the definition), worker_lost (its worker''s lease has ended), not_resumed (its time to go on has passed).';
COMMENT ON COLUMN reporting.stuck.since_at IS 'Since when; null where the worker''s row is gone.';
COMMENT ON COLUMN reporting.stuck.seconds IS 'The same as an age.';
COMMENT ON COLUMN reporting.stuck.worker_id IS 'The worker that was lost; null for other reasons.';
