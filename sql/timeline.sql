-- Shows when the tasks of an execution ran, as a diagram.

CREATE FUNCTION workflow.gantt(title text, bars text, left_out bigint) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_gantt_wrapper';
COMMENT ON FUNCTION workflow.gantt(text, text, bigint) IS
  'Returns Mermaid gantt text for a list of bars: objects with task, index, items, failed, attempt, status, from and to, the last two in milliseconds since 1970.';
REVOKE ALL ON FUNCTION workflow.gantt(text, text, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_timeline(execution_id bigint, max_rows int DEFAULT 200) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
  now timestamptz := workflow.now();
  bars jsonb;
  left_out bigint;
BEGIN
  PERFORM workflow.page_size(max_rows);
  WITH task AS (
    SELECT t.id, t.task_name, t.route, t.visit, t.task_index, t.attempt, workflow.task_summary(t.status, t.skipped)::text AS status,
      coalesce(t.started_at, t.completed_at, t.created) AS began, coalesce(t.completed_at, now) AS ended,
      -- If there are too many items to tell apart, they are combined into one bar.
      count(*) OVER (PARTITION BY t.task_name, t.route, t.visit) > 10 AND t.task_index IS NOT NULL AS together
    FROM workflow.workflow_task_execution t WHERE t.part = run.part AND t.workflow_execution = run.id),
  bar AS (
    SELECT min(t.id) AS place, t.task_name AS task, min(t.task_index) FILTER (WHERE NOT t.together) AS index,
      nullif(count(*) FILTER (WHERE t.together), 0) AS items,
      count(*) FILTER (WHERE t.together AND t.status = 'failed') AS failed,
      coalesce(max(t.attempt) FILTER (WHERE NOT t.together), 0) AS attempt,
      CASE WHEN bool_or(t.status = 'running') THEN 'running' WHEN bool_or(t.status = 'pending') THEN 'pending'
           WHEN bool_or(t.status = 'failed') THEN 'failed' WHEN bool_or(t.status = 'cancelled') THEN 'cancelled' ELSE min(t.status) END AS status,
      floor(extract(epoch FROM min(t.began)) * 1000)::bigint AS from, floor(extract(epoch FROM greatest(max(t.ended), min(t.began))) * 1000)::bigint AS to
    FROM task t GROUP BY t.task_name, t.route, t.visit, CASE WHEN NOT t.together THEN t.id END),
  first AS (SELECT b.* FROM bar b ORDER BY b.place LIMIT max_rows)
  SELECT jsonb_agg(to_jsonb(f) - 'place' ORDER BY f.place), (SELECT count(*) FROM bar) - count(*) INTO bars, left_out FROM first f;
  RETURN (SELECT workflow.gantt(format('%s, execution %s', e.action_ref, e.id), coalesce(bars, '[]')::text, left_out)
          FROM workflow.execution e WHERE e.part = run.part AND e.id = run.execution);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_timeline(bigint, int) IS
  'Returns when the tasks of an execution ran, as Mermaid gantt text: one bar per task, in order of creation, up to max_rows (1 to 10000); tasks that are running or waiting extend to now, and more than 10 items of a task are combined into one bar. For a task that ran several times, shows the last attempt. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_timeline(bigint, int) FROM PUBLIC;
