-- Makes tasks held back by a pause claimable again, and restarts the clocks that it has stopped. Returns the tasks that
-- the engine has to process, and one of those that it has queued for each action, with the action; tasks that wait for
-- a signal are not among them, because a pause does not interrupt their wait.
WITH queued AS (
  UPDATE workflow.workflow_task_execution t SET queue_at = $2 - t.priority * interval '1 minute', limit_key = NULL, updated = $2
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
    AND t.status = 'scheduled' AND t.queue_at IS NULL AND t.action_ref IS NOT NULL AND NOT t.calls
  RETURNING t.id, t.action_ref),
waits AS (
  UPDATE workflow.workflow_task_execution t SET due_at = $2 + t.due_in, due_in = NULL, updated = $2
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
    AND (t.status = 'scheduled' AND t.action_ref IS NULL OR t.status = 'running' AND t.calls) AND t.due_in IS NOT NULL),
clocks AS (
  UPDATE workflow.workflow_execution w SET due_at = $2 + w.due_in, due_in = NULL
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  WHERE w.part = (d.workflow_execution >> 48)::int AND w.id = d.workflow_execution AND w.due_in IS NOT NULL)
SELECT t.id, NULL
FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
JOIN workflow.workflow_task_execution t
  ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
WHERE t.status = 'scheduled' AND (t.calls OR (t.action_ref IS NULL AND t.signal IS NULL))
UNION ALL
SELECT pg_catalog.min(q.id), q.action_ref FROM queued AS q GROUP BY q.id >> 48, q.action_ref
