-- Gives up to p_limit committed events their positions and returns whose they are. One process at a time holds the lock
-- to its commit, so positions become visible in order. It replaces number_events, which tells nobody what it numbered
-- and cannot say that another process was at it; processes of the version before still call that one.
CREATE FUNCTION number_new_events(p_limit integer)
RETURNS TABLE(is_ours boolean, numbered integer, executions bigint[], accounts bigint[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF NOT pg_try_advisory_xact_lock(7003) THEN
    RETURN QUERY SELECT false, 0, ARRAY[]::bigint[], ARRAY[]::bigint[];
    RETURN;
  END IF;
  RETURN QUERY
  WITH unnumbered AS MATERIALIZED (
    SELECT execution_id, seq, row_number() OVER (ORDER BY execution_id, seq) AS place
      FROM (SELECT execution_id, seq FROM events WHERE position IS NULL ORDER BY execution_id, seq LIMIT p_limit) e),
  counter AS (
    UPDATE event_counter SET last_position = last_position + n
      FROM (SELECT count(*) AS n FROM unnumbered) counted WHERE n > 0
    RETURNING last_position - n AS before),
  placed AS (
    UPDATE events e SET position = counter.before + u.place
      FROM unnumbered u, counter WHERE e.execution_id = u.execution_id AND e.seq = u.seq
    RETURNING e.execution_id, e.account_id)
  SELECT true, count(*)::integer, coalesce(array_agg(DISTINCT execution_id), '{}'),
         coalesce(array_agg(DISTINCT account_id), '{}') FROM placed;
END $$;
