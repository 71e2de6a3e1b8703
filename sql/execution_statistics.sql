-- Numbers of executions and their outcomes, for dashboards that poll every few seconds. The engine maintains no counters. Counts
-- are exact while there are few executions, and otherwise estimated from PostgreSQL's own statistics; rates cover the newest
-- executions, which are found by walking the primary key backwards.
--
-- These are functions with JIT off: in a view, the planner misestimates conditions on the clock and LIMIT, and compiling such a
-- plan takes longer than running it.

CREATE STATISTICS workflow.execution_statistics (mcv) ON action_ref, status FROM workflow.execution;
COMMENT ON STATISTICS workflow.execution_statistics IS
  'Frequency of each status by workflow, from which workflow.execution_count estimates.';

CREATE FUNCTION workflow.execution_shares() RETURNS TABLE (workflow_ref text, status text, share float8)
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_execution_shares_wrapper';
COMMENT ON FUNCTION workflow.execution_shares() IS
  'Returns the share of each status and workflow among all executions, from the statistics that autovacuum gathers, which only the owner of the table can read directly.';
REVOKE ALL ON FUNCTION workflow.execution_shares() FROM PUBLIC;

CREATE FUNCTION workflow.count_executions() RETURNS TABLE (workflow_ref text, status workflow.execution_status, executions bigint, estimated boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
  -- As the planner does: assume the same number of rows per page as at the last count.
  size bigint := pg_relation_size('workflow.execution');
  page bigint := current_setting('block_size')::bigint;
  total float8;
BEGIN
  SELECT size / page * c.reltuples / c.relpages INTO total FROM pg_class c
  WHERE c.oid = 'workflow.execution'::regclass AND c.reltuples > 0 AND c.relpages > 0;
  IF total IS NULL OR total < 10000 THEN
    RETURN QUERY SELECT e.action_ref, e.status, count(*), false FROM workflow.execution e GROUP BY e.action_ref, e.status;
    RETURN;
  END IF;
  RETURN QUERY
  SELECT s.workflow_ref, s.status::workflow.execution_status, round(s.share * total)::bigint, true FROM workflow.execution_shares() s;
END $$;
COMMENT ON FUNCTION workflow.count_executions() IS
  'Returns the number of executions by workflow and status: exact if there are at most about 10000 or the table has never been analyzed, otherwise estimated.';
REVOKE ALL ON FUNCTION workflow.count_executions() FROM PUBLIC;

CREATE VIEW workflow.execution_count WITH (security_invoker = true) AS
SELECT c.workflow_ref, c.status, c.executions, c.estimated FROM workflow.count_executions() AS c;
COMMENT ON VIEW workflow.execution_count IS
  'Number of executions by workflow and status. Exact if there are at most about 10000 executions; otherwise estimated from the statistics that autovacuum gathers, which may omit rare combinations. Reads a few pages.';
COMMENT ON COLUMN workflow.execution_count.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.execution_count.status IS 'The status.';
COMMENT ON COLUMN workflow.execution_count.executions IS 'Number of executions, including those called by others.';
COMMENT ON COLUMN workflow.execution_count.estimated IS 'Whether the number is an estimate.';

CREATE FUNCTION workflow.recent_executions(max_rows int)
RETURNS TABLE (workflow_ref text, status workflow.execution_status, created timestamptz, updated timestamptz, since timestamptz, minutes numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
  parts int[] := '{}';
  this int := -1;
  share int;
BEGIN
  LOOP
    this := (SELECT e.part FROM workflow.execution e WHERE e.id >= (this + 1)::bigint << 48 ORDER BY e.id LIMIT 1);
    EXIT WHEN this IS NULL;
    parts := parts || this;
  END LOOP;
  FOREACH this IN ARRAY parts LOOP
    share := greatest(max_rows / cardinality(parts), 100);
    RETURN QUERY
    WITH newest AS MATERIALIZED (
      SELECT e.action_ref, e.status, e.created, e.updated FROM workflow.execution e
      WHERE e.id BETWEEN this::bigint << 48 AND ((this + 1)::bigint << 48) - 1 ORDER BY e.id DESC LIMIT share),
    edge AS (
      SELECT greatest(now - interval '1 hour', CASE WHEN count(*) = share THEN min(n.created) END) AS since FROM newest n)
    SELECT n.action_ref, n.status, n.created, n.updated, e.since, greatest(extract(epoch FROM now - e.since) / 60, 1)
    FROM newest n, edge e WHERE n.created >= e.since;
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.recent_executions(int) IS
  'Returns the executions created in the last hour, at most the newest max_rows, divided among the parts (at least 100 each). Each row also has the time from which on the result is complete for its part, and how many minutes ago that was, at least 1.';
REVOKE ALL ON FUNCTION workflow.recent_executions(int) FROM PUBLIC;

CREATE VIEW workflow.workflow_summary WITH (security_invoker = true) AS
SELECT r.workflow_ref, min(r.since) AS since, count(*) AS started,
  count(*) FILTER (WHERE r.status = 'completed') AS completed,
  count(*) FILTER (WHERE r.status IN ('failed', 'timeout', 'abandoned')) AS failed,
  count(*) FILTER (WHERE r.status = 'cancelled') AS cancelled,
  count(*) FILTER (WHERE NOT workflow.is_end(r.status)) AS unfinished,
  round(sum(1 / r.minutes), 1) AS started_per_minute,
  round(coalesce(sum(1 / r.minutes) FILTER (WHERE workflow.is_end(r.status)), 0), 1) AS ended_per_minute,
  round(coalesce(sum(1 / r.minutes) FILTER (WHERE r.status IN ('failed', 'timeout', 'abandoned')), 0), 1) AS failed_per_minute
FROM workflow.recent_executions(10000) AS r
GROUP BY r.workflow_ref;
COMMENT ON VIEW workflow.workflow_summary IS
  'Outcomes of each workflow''s recent executions: those created in the last hour, at most the newest 10000 (divided among the parts, at least 100 each). Exact for these; executions that were created earlier and ended in this period are not counted.';
COMMENT ON COLUMN workflow.workflow_summary.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_summary.since IS
  'Start of the period covered: an hour ago, or the creation of the oldest of the newest 10000 executions.';
COMMENT ON COLUMN workflow.workflow_summary.started IS 'Number of executions created in the period.';
COMMENT ON COLUMN workflow.workflow_summary.completed IS 'Number of these that completed.';
COMMENT ON COLUMN workflow.workflow_summary.failed IS 'Number that failed, timed out or were abandoned.';
COMMENT ON COLUMN workflow.workflow_summary.cancelled IS 'Number that were cancelled.';
COMMENT ON COLUMN workflow.workflow_summary.unfinished IS 'Number that have not ended.';
COMMENT ON COLUMN workflow.workflow_summary.started_per_minute IS 'Number of executions started per minute.';
COMMENT ON COLUMN workflow.workflow_summary.ended_per_minute IS 'Number of these that ended, per minute.';
COMMENT ON COLUMN workflow.workflow_summary.failed_per_minute IS 'Number of these that failed, per minute.';

CREATE VIEW workflow.execution_rate WITH (security_invoker = true) AS
SELECT m.minute, count(*) FILTER (WHERE m.kind = 'started') AS started, count(*) FILTER (WHERE m.kind = 'completed') AS completed,
  count(*) FILTER (WHERE m.kind IN ('failed', 'timeout', 'abandoned')) AS failed, count(*) FILTER (WHERE m.kind = 'cancelled') AS cancelled
FROM workflow.recent_executions(10000) AS r
  CROSS JOIN LATERAL (VALUES (r.created, 'started'), (CASE WHEN workflow.is_end(r.status) THEN r.updated END, r.status::text)) AS e (moment, kind)
  CROSS JOIN LATERAL (SELECT date_trunc('minute', e.moment) AS minute, e.kind) AS m
WHERE m.minute IS NOT NULL
GROUP BY m.minute;
COMMENT ON VIEW workflow.execution_rate IS
  'Outcomes of recent executions, minute by minute, for plots: of those created in the last hour, at most the newest 10000 (divided among the parts, at least 100 each). A minute in which nothing happened has no row.';
COMMENT ON COLUMN workflow.execution_rate.minute IS 'The minute.';
COMMENT ON COLUMN workflow.execution_rate.started IS 'Number of executions created in that minute.';
COMMENT ON COLUMN workflow.execution_rate.completed IS 'Number that completed in that minute.';
COMMENT ON COLUMN workflow.execution_rate.failed IS 'Number that failed, timed out or were abandoned in that minute.';
COMMENT ON COLUMN workflow.execution_rate.cancelled IS 'Number that were cancelled in that minute.';
