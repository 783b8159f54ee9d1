-- One row for each account, agent or provider that is held to something; null is no limit. Operators change rows as
-- they like: the next start and the next claim read them. scope_id is the account or the agent, name the provider: the
-- model as agents name it. The table is that of running limits, which only claim_execution reads by its name.
ALTER TABLE running_limits RENAME TO limits;
ALTER TABLE limits RENAME CONSTRAINT running_limits_max_running_check TO limits_max_running_check;
ALTER TABLE limits
  DROP CONSTRAINT running_limits_pkey,
  DROP CONSTRAINT running_limits_scope_check,
  ALTER COLUMN scope_id SET DEFAULT 0,
  ALTER COLUMN max_running DROP NOT NULL,
  ADD COLUMN name text NOT NULL DEFAULT '',
  ADD COLUMN share numeric CONSTRAINT limits_share_check CHECK (share > 0),
  ADD COLUMN max_queued integer CONSTRAINT limits_max_queued_check CHECK (max_queued >= 0),
  ADD COLUMN starts_per_minute integer CONSTRAINT limits_starts_per_minute_check CHECK (starts_per_minute >= 0),
  ADD COLUMN tokens_per_day bigint CONSTRAINT limits_tokens_per_day_check CHECK (tokens_per_day >= 0),
  ADD COLUMN cost_per_day numeric CONSTRAINT limits_cost_per_day_check CHECK (cost_per_day >= 0),
  ADD CONSTRAINT limits_pkey PRIMARY KEY (scope, scope_id, name),
  ADD CONSTRAINT limits_scope_check CHECK (
    CASE scope WHEN 'provider' THEN scope_id = 0 AND name <> '' ELSE scope_id > 0 AND name = '' END
    AND scope IN ('account', 'agent', 'provider')),
  ADD CONSTRAINT limits_of_accounts_check CHECK (
    scope = 'account' OR num_nonnulls(share, max_queued, starts_per_minute, tokens_per_day, cost_per_day) = 0);
COMMENT ON COLUMN limits.name IS 'of a provider: the model as agents name it';
COMMENT ON COLUMN limits.share IS 'of the slots, against other accounts; null is 1';
COMMENT ON COLUMN limits.cost_per_day IS 'US dollars';

-- What is spent is summed: one row per account and period. A minute counts starts, a day what ended in it has cost.
CREATE TABLE account_usage (
  account_id bigint NOT NULL REFERENCES accounts,
  period text NOT NULL CONSTRAINT account_usage_period_check CHECK (period IN ('minute', 'day')),
  begins_at timestamptz NOT NULL,
  starts integer NOT NULL DEFAULT 0,
  tokens bigint NOT NULL DEFAULT 0,
  cost numeric NOT NULL DEFAULT 0,
  PRIMARY KEY (account_id, period, begins_at)
);
CREATE INDEX account_usage_begins_at_idx ON account_usage (period, begins_at);
COMMENT ON COLUMN account_usage.starts IS 'only of accounts that have a limit on starts';
COMMENT ON COLUMN account_usage.cost IS 'US dollars, as far as prices are known';

-- Whoever last got a slot goes last among accounts that have equally much running.
CREATE TABLE account_claims (
  account_id bigint PRIMARY KEY,
  claimed_at timestamptz NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE workers ADD COLUMN models text[];
COMMENT ON COLUMN workers.models IS 'beside offers: the model of runs whose agent names none; empty text where there is none';
ALTER TABLE execution_runtime ADD COLUMN provider text;
COMMENT ON COLUMN execution_runtime.provider IS 'of what runs: the model that it was claimed for';
CREATE INDEX runtime_waiting_account ON execution_runtime (account_id) WHERE phase = 'waiting';

-- A trigger, because an execution ends in several ways, and for a while in statements of the version before.
CREATE FUNCTION add_usage() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO account_usage AS u (account_id, period, begins_at, tokens, cost)
  VALUES (NEW.account_id, 'day', date_trunc('day', now(), 'UTC'), NEW.input_tokens + NEW.output_tokens,
          coalesce(NEW.cost, 0))
  ON CONFLICT (account_id, period, begins_at)
  DO UPDATE SET tokens = u.tokens + EXCLUDED.tokens, cost = u.cost + EXCLUDED.cost;
  RETURN NULL;
END $$;
CREATE TRIGGER executions_add_usage AFTER UPDATE OF finished_at ON executions FOR EACH ROW
  WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.input_tokens + NEW.output_tokens > 0)
  EXECUTE FUNCTION add_usage();

-- How an account stands against its limits on starts, now; null where it has none. Seconds are those until the minute
-- and the day, in UTC, are over.
CREATE FUNCTION standing_of(p_account_id bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
           'max_queued', l.max_queued,
           'queued', CASE WHEN l.max_queued IS NOT NULL THEN
             (SELECT count(*) FROM execution_runtime r WHERE r.phase = 'ready' AND r.account_id = l.scope_id)
             + (SELECT count(*) FROM execution_runtime r WHERE r.phase = 'waiting' AND r.account_id = l.scope_id)
             ELSE 0 END,
           'starts_per_minute', l.starts_per_minute,
           'starts', coalesce(m.starts, 0),
           'seconds_of_minute', ceil(extract(epoch FROM date_trunc('minute', c.at) + interval '1 minute' - c.at)),
           'is_spent', coalesce(coalesce(d.tokens, 0) >= l.tokens_per_day, false)
                       OR coalesce(coalesce(d.cost, 0) >= l.cost_per_day, false),
           'seconds_of_day', ceil(extract(epoch FROM date_trunc('day', c.at, 'UTC') + interval '24 hours' - c.at)))
    FROM limits l
   CROSS JOIN (SELECT clock_timestamp() AS at) c
    LEFT JOIN account_usage m
      ON m.account_id = l.scope_id AND m.period = 'minute' AND m.begins_at = date_trunc('minute', c.at)
    LEFT JOIN account_usage d
      ON d.account_id = l.scope_id AND d.period = 'day' AND d.begins_at = date_trunc('day', c.at, 'UTC')
   WHERE l.scope = 'account' AND l.scope_id = p_account_id AND l.name = ''
     AND num_nonnulls(l.max_queued, l.starts_per_minute, l.tokens_per_day, l.cost_per_day) > 0
$$;

-- How many of so many starts an account may have now, counted against its minute; and how it stood before. An atomic
-- number is granted as a whole or not at all. The account's row of limits is locked to the end of the transaction and
-- counting is left to the next statement: one that takes a lock counts with a snapshot older than the lock.
CREATE FUNCTION admit_starts(p_account_id bigint, p_starts integer, p_is_atomic boolean)
RETURNS TABLE(admitted integer, standing jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_standing jsonb;
  v_admitted integer := p_starts;
BEGIN
  IF p_starts > 0 THEN
    PERFORM FROM limits WHERE scope = 'account' AND scope_id = p_account_id AND name = ''
        AND num_nonnulls(max_queued, starts_per_minute, tokens_per_day, cost_per_day) > 0
      FOR NO KEY UPDATE;
    IF FOUND THEN
      v_standing := standing_of(p_account_id);
    END IF;
  END IF;
  IF v_standing IS NOT NULL THEN
    v_admitted := greatest(0, least(
      p_starts,
      (v_standing ->> 'max_queued')::integer - (v_standing ->> 'queued')::integer,
      (v_standing ->> 'starts_per_minute')::integer - (v_standing ->> 'starts')::integer,
      CASE WHEN (v_standing ->> 'is_spent')::boolean THEN 0 END));
    IF p_is_atomic AND v_admitted < p_starts THEN
      v_admitted := 0;
    END IF;
    IF v_admitted > 0 AND v_standing ->> 'starts_per_minute' IS NOT NULL THEN
      INSERT INTO account_usage AS u (account_id, period, begins_at, starts)
      VALUES (p_account_id, 'minute', date_trunc('minute', clock_timestamp()), v_admitted)
      ON CONFLICT (account_id, period, begins_at) DO UPDATE SET starts = u.starts + EXCLUDED.starts;
    END IF;
  END IF;
  RETURN QUERY SELECT v_admitted, v_standing;
END $$;

-- Claims one ready execution for a live worker, or none. Two statements after the lock: counting in the statement that
-- takes a lock would use a snapshot older than the lock and overshoot limits. Accounts take turns: fewest running first,
-- in relation to its share, then who waits longest for a turn, then whose head is oldest. Priority orders the heads of
-- one account, and puts nobody before another account. A limit outranks both.
CREATE OR REPLACE FUNCTION claim_execution(p_worker bigint, p_offers text[])
RETURNS TABLE(execution_id bigint, epoch integer, ticket_added boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  v_offers text[];
  v_models text[];
  v_execution_id bigint;
  v_epoch integer;
  v_seq integer;
  v_account_id bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7001);
  SELECT offers, models INTO v_offers, v_models FROM workers WHERE id = p_worker;
  WITH RECURSIVE
  head AS (  -- the first row of each lane, found by skipping through the index; it is the lane's best
    (SELECT account_id, agent_id, definition, priority, execution_id
       FROM execution_runtime WHERE phase = 'ready'
      ORDER BY account_id, agent_id, definition, priority DESC, execution_id LIMIT 1)
    UNION ALL
    SELECT n.* FROM head h CROSS JOIN LATERAL (
      SELECT r.account_id, r.agent_id, r.definition, r.priority, r.execution_id
        FROM execution_runtime r
       WHERE r.phase = 'ready'
         AND (r.account_id, r.agent_id, r.definition) > (h.account_id, h.agent_id, h.definition)
       ORDER BY r.account_id, r.agent_id, r.definition, r.priority DESC, r.execution_id LIMIT 1) n),
  busy AS MATERIALIZED (
    SELECT account_id, agent_id, count(*) AS running
      FROM execution_runtime WHERE phase = 'running' GROUP BY 1, 2),
  by_account AS MATERIALIZED (
    SELECT account_id, sum(running) AS running FROM busy GROUP BY 1),
  by_agent AS MATERIALIZED (
    SELECT agent_id, sum(running) AS running FROM busy GROUP BY 1),
  by_provider AS MATERIALIZED (
    SELECT provider, count(*) AS running
      FROM execution_runtime
     WHERE phase = 'running' AND provider IS NOT NULL AND EXISTS (SELECT FROM limits WHERE scope = 'provider')
     GROUP BY 1),
  is_full AS MATERIALIZED (
    SELECT l.scope, l.scope_id, l.name
      FROM limits l
      LEFT JOIN by_account a ON l.scope = 'account' AND a.account_id = l.scope_id
      LEFT JOIN by_agent g ON l.scope = 'agent' AND g.agent_id = l.scope_id
      LEFT JOIN by_provider p ON l.scope = 'provider' AND p.provider = l.name
     WHERE coalesce(a.running, g.running, p.running, 0) >= l.max_running),
  pick AS (
    SELECT c.execution_id,
           row_number() OVER (ORDER BY c.held, c.claimed_at NULLS FIRST, c.oldest, c.priority DESC, c.execution_id)
             AS rank
      FROM (SELECT h.execution_id, h.priority, coalesce(a.running, 0) / coalesce(l.share, 1) AS held, t.claimed_at,
                   min(h.execution_id) OVER (PARTITION BY h.account_id) AS oldest
              FROM head h
              LEFT JOIN by_account a ON a.account_id = h.account_id
              LEFT JOIN limits l ON l.scope = 'account' AND l.scope_id = h.account_id
              LEFT JOIN account_claims t ON t.account_id = h.account_id
             WHERE h.definition = ANY (p_offers)
               AND NOT EXISTS (SELECT FROM is_full f WHERE f.scope = 'account' AND f.scope_id = h.account_id)
               AND NOT EXISTS (SELECT FROM is_full f WHERE f.scope = 'agent' AND f.scope_id = h.agent_id)
               -- NOT IN, which is no join: where no provider is full, no agent is looked up.
               AND coalesce((SELECT g.model FROM agents g WHERE g.id = h.agent_id),
                            v_models[array_position(v_offers, h.definition)], '')
                   NOT IN (SELECT f.name FROM is_full f WHERE f.scope = 'provider')) c
     ORDER BY rank LIMIT 8),
  locked AS (  -- spares, in case a cancel or a sweep holds the first
    SELECT r.execution_id
      FROM pick p JOIN execution_runtime r ON r.execution_id = p.execution_id
     WHERE r.phase = 'ready'
       AND EXISTS (SELECT FROM workers WHERE id = p_worker AND lease_until > now())
     ORDER BY p.rank LIMIT 1 FOR UPDATE OF r SKIP LOCKED)
  UPDATE execution_runtime r
     SET phase = 'running', worker_id = p_worker, epoch = r.epoch + 1, resume_at = NULL, next_event = r.next_event + 1,
         provider = coalesce((SELECT g.model FROM agents g WHERE g.id = r.agent_id),
                             v_models[array_position(v_offers, r.definition)])
    FROM locked WHERE r.execution_id = locked.execution_id
  RETURNING r.execution_id, r.epoch, r.next_event - 1, r.account_id
  INTO v_execution_id, v_epoch, v_seq, v_account_id;
  IF v_execution_id IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO account_claims AS t (account_id, claimed_at) VALUES (v_account_id, clock_timestamp())
  ON CONFLICT (account_id) DO UPDATE SET claimed_at = EXCLUDED.claimed_at;
  UPDATE executions SET status = 'in_progress', picked_up_at = coalesce(picked_up_at, now())
   WHERE id = v_execution_id AND status IN ('pending', 'in_progress');
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  VALUES (v_execution_id, v_seq, v_account_id, CASE WHEN v_epoch = 1 THEN 'started' ELSE 'resumed' END,
          jsonb_build_object('worker', p_worker, 'epoch', v_epoch));
  RETURN QUERY SELECT v_execution_id, v_epoch, top_up_ticket();
END $$;

CREATE OR REPLACE VIEW reporting.stuck AS
WITH open_definitions AS (
  SELECT offer AS definition, sum(w.free_slots) AS free_slots
    FROM reporting.workers w CROSS JOIN LATERAL unnest(w.offers) AS offer
   WHERE w.is_alive GROUP BY offer),
full_scopes AS (
  SELECT l.scope, l.scope_id, l.name
    FROM limits l
   WHERE l.max_running <= (SELECT count(*) FROM execution_runtime r
                            WHERE r.phase = 'running'
                              AND CASE l.scope WHEN 'account' THEN r.account_id = l.scope_id
                                               WHEN 'agent' THEN r.agent_id = l.scope_id
                                               ELSE r.provider = l.name END)),
found AS (
  SELECT r.execution_id, r.account_id, r.agent_id, r.definition, NULL::bigint AS worker_id, r.ready_since AS since_at,
         CASE WHEN o.definition IS NULL THEN 'no_worker' ELSE 'not_picked_up' END AS reason
    FROM execution_runtime r
    LEFT JOIN open_definitions o ON o.definition = r.definition
   WHERE r.phase = 'ready'
     AND (o.definition IS NULL OR o.free_slots > 0)
     AND NOT EXISTS (SELECT FROM full_scopes f WHERE f.scope = 'account' AND f.scope_id = r.account_id)
     AND NOT EXISTS (SELECT FROM full_scopes f WHERE f.scope = 'agent' AND f.scope_id = r.agent_id)
     AND NOT EXISTS (SELECT FROM full_scopes f JOIN agents g ON g.id = r.agent_id
                      WHERE f.scope = 'provider'
                        AND CASE WHEN g.model IS NOT NULL THEN f.name = g.model
                                 ELSE EXISTS (SELECT FROM workers w
                                               WHERE w.lease_until > now()
                                                 AND f.name = w.models[array_position(w.offers, r.definition)]) END)
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

CREATE VIEW reporting.limits AS
SELECT l.scope,
       nullif(l.scope_id, 0) AS id,
       CASE l.scope WHEN 'account' THEN a.name WHEN 'agent' THEN g.name ELSE l.name END AS name,
       l.max_running,
       (SELECT count(*)::integer FROM execution_runtime r
         WHERE r.phase = 'running'
           AND CASE l.scope WHEN 'account' THEN r.account_id = l.scope_id
                            WHEN 'agent' THEN r.agent_id = l.scope_id
                            ELSE r.provider = l.name END) AS running,
       l.share,
       l.max_queued,
       CASE WHEN l.scope = 'account' THEN
         (SELECT count(*)::integer FROM execution_runtime r
           WHERE r.phase IN ('ready', 'waiting') AND r.account_id = l.scope_id) END AS queued,
       l.starts_per_minute,
       CASE WHEN l.starts_per_minute IS NOT NULL THEN coalesce(m.starts, 0) END AS starts,
       l.tokens_per_day,
       CASE WHEN l.scope = 'account' THEN coalesce(d.tokens, 0) END AS tokens,
       l.cost_per_day,
       CASE WHEN l.scope = 'account' THEN coalesce(d.cost, 0) END AS cost
  FROM limits l
  LEFT JOIN accounts a ON l.scope = 'account' AND a.id = l.scope_id
  LEFT JOIN agents g ON l.scope = 'agent' AND g.id = l.scope_id
  LEFT JOIN account_usage m
    ON l.scope = 'account' AND m.account_id = l.scope_id AND m.period = 'minute'
   AND m.begins_at = date_trunc('minute', now())
  LEFT JOIN account_usage d
    ON l.scope = 'account' AND d.account_id = l.scope_id AND d.period = 'day'
   AND d.begins_at = date_trunc('day', now(), 'UTC');

COMMENT ON VIEW reporting.limits IS 'One row per account, agent or provider that has a limit: what it is held to, and what it has now.';
COMMENT ON COLUMN reporting.limits.scope IS 'account, agent or provider.';
COMMENT ON COLUMN reporting.limits.id IS 'Id of the account or agent; null for a provider.';
COMMENT ON COLUMN reporting.limits.name IS 'Name of the account or agent; of a provider, the model as agents name it.';
COMMENT ON COLUMN reporting.limits.max_running IS 'Executions that may run side by side; null is no limit, as in the other limits.';
COMMENT ON COLUMN reporting.limits.running IS 'Those that run.';
COMMENT ON COLUMN reporting.limits.share IS 'Weight against other accounts; null is 1.';
COMMENT ON COLUMN reporting.limits.max_queued IS 'Executions of the account that may wait.';
COMMENT ON COLUMN reporting.limits.queued IS 'Those that wait, for a slot or for a time; null unless it is an account.';
COMMENT ON COLUMN reporting.limits.starts_per_minute IS 'Starts that are accepted in a minute.';
COMMENT ON COLUMN reporting.limits.starts IS 'Those of this minute; null where they are not limited.';
COMMENT ON COLUMN reporting.limits.tokens_per_day IS 'Tokens after which nothing more is accepted that day (UTC).';
COMMENT ON COLUMN reporting.limits.tokens IS 'Tokens, in and out, of executions that ended today; null unless it is an account.';
COMMENT ON COLUMN reporting.limits.cost_per_day IS 'US dollars after which nothing more is accepted that day (UTC).';
COMMENT ON COLUMN reporting.limits.cost IS 'US dollars of executions that ended today, as far as prices are known; null unless it is an account.';
