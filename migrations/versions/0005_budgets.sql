-- Of a turn: input_tokens, cached_tokens, output_tokens and cost are those of its answer; lost_… is what requests cost
-- that brought none (failed, cut, in flight when a worker died); reserved_… is the most that the one in flight can cost.
ALTER TABLE turns
  ADD COLUMN strategy text NOT NULL DEFAULT 'propose',
  ADD COLUMN cost numeric,
  ADD COLUMN calls integer NOT NULL DEFAULT 0,
  ADD COLUMN is_estimated boolean NOT NULL DEFAULT false,
  ADD COLUMN reserved_input_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN reserved_output_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN reserved_cost numeric DEFAULT 0,
  ADD COLUMN lost_input_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN lost_cached_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN lost_output_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN lost_cost numeric DEFAULT 0;

COMMENT ON COLUMN turns.strategy IS 'the rung of the correction';
COMMENT ON COLUMN turns.cost IS 'US dollars of the answer; null where the price is not known';
COMMENT ON COLUMN turns.calls IS 'requests sent, but for one in flight';

ALTER TABLE executions
  ADD COLUMN limits jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN exit_reason text,
  ADD COLUMN input_tokens bigint,
  ADD COLUMN cached_tokens bigint,
  ADD COLUMN output_tokens bigint,
  ADD COLUMN cost numeric,
  ADD COLUMN model_seconds numeric,
  ADD COLUMN calls integer,
  ADD COLUMN is_estimated boolean;

COMMENT ON COLUMN executions.limits IS 'what this run may use';
COMMENT ON COLUMN executions.cost IS 'US dollars; null where a price is not known';

-- What an execution spent so far. A request in flight, or whose end nobody saw, counts as it was reserved.
CREATE FUNCTION usage_of(p_execution_id bigint)
RETURNS TABLE(input_tokens bigint, cached_tokens bigint, output_tokens bigint, cost numeric, model_seconds numeric,
              calls integer, is_estimated boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(sum(coalesce(t.input_tokens, 0) + t.reserved_input_tokens + t.lost_input_tokens), 0)::bigint,
         coalesce(sum(coalesce(t.cached_tokens, 0) + t.lost_cached_tokens), 0)::bigint,
         coalesce(sum(coalesce(t.output_tokens, 0) + t.reserved_output_tokens + t.lost_output_tokens), 0)::bigint,
         CASE WHEN count(*) = count(CASE WHEN t.finished_at IS NULL THEN 0 ELSE t.cost END + t.reserved_cost + t.lost_cost)
              THEN coalesce(sum(coalesce(t.cost, 0) + t.reserved_cost + t.lost_cost), 0) END,
         round(coalesce(sum(extract(epoch FROM t.finished_at - t.started_at)), 0), 3),
         coalesce(sum(t.calls + (t.reserved_output_tokens > 0)::integer), 0)::integer,
         coalesce(bool_or(t.is_estimated OR t.reserved_output_tokens > 0), false)
    FROM turns t WHERE t.execution_id = p_execution_id
$$;

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
       round(extract(epoch FROM coalesce(e.picked_up_at, e.finished_at, now()) - e.started_at), 3) AS waiting_seconds,
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
       e.is_estimated
  FROM executions e
  LEFT JOIN accounts a ON a.id = e.account_id
  LEFT JOIN agents g ON g.id = e.agent_id
  LEFT JOIN data_sets d ON d.id = e.data_set_id;

COMMENT ON COLUMN reporting.executions.exit_reason IS 'What ended it, finer than failure_code: which budget, whose fault; null before its outcome.';
COMMENT ON COLUMN reporting.executions.input_tokens IS 'Tokens of all prompts, cached ones and those of failed and repeated requests included; null before its outcome, as the columns after it.';
COMMENT ON COLUMN reporting.executions.cached_tokens IS 'Those that came from the provider''s cache.';
COMMENT ON COLUMN reporting.executions.output_tokens IS 'Tokens that models wrote.';
COMMENT ON COLUMN reporting.executions.cost IS 'US dollars; null where the price of a model is not known.';
COMMENT ON COLUMN reporting.executions.model_seconds IS 'Seconds that requests to models took which brought an answer.';
COMMENT ON COLUMN reporting.executions.calls IS 'Requests to models, failed and repeated ones included.';
COMMENT ON COLUMN reporting.executions.is_estimated IS 'Whether a part of the usage is the most that a request could have cost, because nobody saw its end.';

CREATE OR REPLACE VIEW reporting.cycles AS
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
       v.is_accepted,
       t.strategy,
       t.cost
  FROM (SELECT execution_id, cycle, count(*)::integer AS turns, max(model) AS model,
               coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
               coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
               coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
               min(started_at) AS started_at,
               round(extract(epoch FROM max(finished_at) - min(started_at)), 3) AS seconds,
               (array_agg(strategy ORDER BY number))[1] AS strategy,
               CASE WHEN count(*) = count(CASE WHEN finished_at IS NULL THEN 0 ELSE cost END + reserved_cost + lost_cost)
                    THEN sum(coalesce(cost, 0) + reserved_cost + lost_cost) END AS cost
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

COMMENT ON COLUMN reporting.cycles.strategy IS 'How the answer was asked for: propose in cycle 1, then patch, hint, full or escalate; that of the first turn.';
COMMENT ON COLUMN reporting.cycles.cost IS 'US dollars, failed and repeated requests included; null where the price of a model is not known.';
