-- Returns the tasks whose work was done by executions that have ended, with their workflow executions, which are locked
-- unless someone else has locked them; whether they can be undone; for a task that made an execution undo itself, how
-- far that got; and whether the task is no longer needed.
WITH called AS MATERIALIZED (
  SELECT d.execution, t.part, t.id, t.workflow_execution, t.timed_out, t.timeout_seconds, t.undoes, t.error ->> 'type' = 'not_needed' AS needless
  FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
  JOIN workflow.workflow_task_execution t ON t.part = (d.execution >> 48)::int AND t.execution = d.execution
  WHERE t.calls AND t.status = 'running'),
free AS MATERIALIZED (
  SELECT w.part, w.id FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT c.part, c.workflow_execution FROM called c)
  FOR NO KEY UPDATE OF w SKIP LOCKED)
SELECT c.execution, c.id, f.id, e.status::text, e.result::text, coalesce(w.error_message, ''), w.id,
  CASE WHEN c.timed_out THEN c.timeout_seconds END, (w.errors -> 0)::text,
  coalesce((w.state ->> 'undos')::int, 0) > 0 AND w.state #>> '{undo,phase}' IS DISTINCT FROM 'done',
  CASE WHEN u.id IS NOT NULL THEN coalesce(w.state #>> '{undo,phase}', '') END, c.needless
FROM called c
JOIN workflow.execution e ON e.part = c.part AND e.id = c.execution
JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.execution
LEFT JOIN workflow.workflow_task_execution u ON u.part = c.part AND u.id = c.undoes AND NOT u.undo ? 'action'
LEFT JOIN free f ON f.part = c.part AND f.id = c.workflow_execution
ORDER BY c.id
