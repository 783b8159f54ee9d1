ALTER TABLE executions ADD COLUMN cancel_requested_at timestamptz, ADD COLUMN rerun_of bigint;
COMMENT ON COLUMN executions.rerun_of IS 'the execution that it repeats; may be erased';

ALTER TABLE execution_runtime ADD COLUMN deadline timestamptz;
CREATE INDEX runtime_deadline ON execution_runtime (deadline) WHERE deadline IS NOT NULL AND phase <> 'running';
CREATE INDEX runtime_cancel ON execution_runtime (cancel_asked_at) WHERE cancel_asked_at IS NOT NULL;

-- Claims one ready execution for a live worker, or none. Two statements after the lock: counting in the statement that
-- takes a lock would use a snapshot older than the lock and overshoot limits. Accounts take turns: fewest running first,
-- then whose head is oldest. Priority orders the heads of one account, and puts nobody before another account.
CREATE OR REPLACE FUNCTION claim_execution(p_worker bigint, p_offers text[])
RETURNS TABLE(execution_id bigint, epoch integer, ticket_added boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  v_execution_id bigint;
  v_epoch integer;
  v_seq integer;
  v_account_id bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7001);
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
  is_full AS MATERIALIZED (
    SELECT l.scope, l.scope_id
      FROM running_limits l
      LEFT JOIN by_account a ON l.scope = 'account' AND a.account_id = l.scope_id
      LEFT JOIN by_agent g ON l.scope = 'agent' AND g.agent_id = l.scope_id
     WHERE coalesce(a.running, g.running, 0) >= l.max_running),
  pick AS (
    SELECT c.execution_id,
           row_number() OVER (ORDER BY c.running, c.oldest, c.priority DESC, c.execution_id) AS rank
      FROM (SELECT h.execution_id, h.priority, coalesce(a.running, 0) AS running,
                   min(h.execution_id) OVER (PARTITION BY h.account_id) AS oldest
              FROM head h
              LEFT JOIN by_account a ON a.account_id = h.account_id
             WHERE h.definition = ANY (p_offers)
               AND NOT EXISTS (SELECT FROM is_full f WHERE f.scope = 'account' AND f.scope_id = h.account_id)
               AND NOT EXISTS (SELECT FROM is_full f WHERE f.scope = 'agent' AND f.scope_id = h.agent_id)) c
     ORDER BY rank LIMIT 8),
  locked AS (  -- spares, in case a cancel or a sweep holds the first
    SELECT r.execution_id
      FROM pick p JOIN execution_runtime r ON r.execution_id = p.execution_id
     WHERE r.phase = 'ready'
       AND EXISTS (SELECT FROM workers WHERE id = p_worker AND lease_until > now())
     ORDER BY p.rank LIMIT 1 FOR UPDATE OF r SKIP LOCKED)
  UPDATE execution_runtime r
     SET phase = 'running', worker_id = p_worker, epoch = r.epoch + 1, resume_at = NULL, next_event = r.next_event + 1
    FROM locked WHERE r.execution_id = locked.execution_id
  RETURNING r.execution_id, r.epoch, r.next_event - 1, r.account_id
  INTO v_execution_id, v_epoch, v_seq, v_account_id;
  IF v_execution_id IS NULL THEN
    RETURN;
  END IF;
  UPDATE executions SET status = 'in_progress', picked_up_at = coalesce(picked_up_at, now())
   WHERE id = v_execution_id AND status IN ('pending', 'in_progress');
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  VALUES (v_execution_id, v_seq, v_account_id, CASE WHEN v_epoch = 1 THEN 'started' ELSE 'resumed' END,
          jsonb_build_object('worker', p_worker, 'epoch', v_epoch));
  RETURN QUERY SELECT v_execution_id, v_epoch, top_up_ticket();
END $$;
