-- Writes what a job of pg_workflow writes when it is processed, by hand and nothing else: no graph, no lease, no lock
-- order, no checks at all. Ends the tasks in hand with their executions, then claims up to a number of tasks.
CREATE FUNCTION public.rows_by_hand(done bigint[], runs bigint[], results jsonb[], most int)
RETURNS TABLE (task bigint, run bigint, input jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE workflow.workflow_task_execution t
  SET status = 'completed', result = d.result, completed_at = now(), updated = now(),
      duration_ms = round(date_part('epoch', now() - t.started_at) * 1000)::bigint
  FROM unnest(done, results) AS d(id, result) WHERE t.part = 0 AND t.id = d.id AND t.status = 'running';

  UPDATE workflow.workflow_execution w SET status = 'completed', current_tasks = '{}', completed_tasks = '{step1}', updated = now()
  FROM unnest(runs) AS d(id) WHERE w.part = 0 AND w.id = d.id AND w.status = 'running';

  -- In a database with nothing but these, an execution has the number of its workflow execution.
  UPDATE workflow.execution e SET status = 'completed', result = jsonb_build_object('result', d.result), updated = now()
  FROM unnest(runs, results) AS d(id, result) WHERE e.part = 0 AND e.id = d.id;

  RETURN QUERY
  WITH ready AS MATERIALIZED (
    SELECT t.ctid AS place FROM workflow.workflow_task_execution t
    WHERE t.part = 0 AND t.action_ref = 'bench.step' AND t.queue_at IS NOT NULL
    ORDER BY t.queue_at, t.id LIMIT most
    FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE workflow.workflow_task_execution t
  SET status = 'running', attempt = t.attempt + 1, queue_at = NULL, started_at = now(), updated = now()
  FROM unnest(ARRAY(SELECT place FROM ready)) AS claimed(place) WHERE t.ctid = claimed.place
  RETURNING t.id, t.workflow_execution, t.input;
END $$;
