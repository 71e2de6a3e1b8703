-- Makes the tasks of paused executions unclaimable, and stops the clocks of their waits, of their calls and of the
-- executions: the remainder of each time limit is stored. Tasks that are being claimed at this moment run. Returns those
-- under limits that were in the queue.
WITH queued AS MATERIALIZED (
  SELECT t.part, t.id, t.limits IS NOT NULL AND t.limit_key IS NULL AS is_limited
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  JOIN workflow.workflow_task_execution t
    ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  WHERE t.queue_at IS NOT NULL OR t.limit_key IS NOT NULL
  FOR NO KEY UPDATE OF t SKIP LOCKED),
waits AS (
  UPDATE workflow.workflow_task_execution t SET due_in = greatest(t.due_at - $2, '0'), due_at = NULL, updated = $2
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
    AND (t.status = 'scheduled' AND t.signal IS NOT NULL AND t.started_at IS NOT NULL OR t.status = 'running' AND t.calls)
    AND t.due_at IS NOT NULL),
clocks AS (
  UPDATE workflow.workflow_execution w SET due_in = greatest(w.due_at - $2, '0'), due_at = NULL
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  WHERE w.part = (d.workflow_execution >> 48)::int AND w.id = d.workflow_execution AND w.status = 'running' AND w.due_at IS NOT NULL)
UPDATE workflow.workflow_task_execution t SET queue_at = NULL, limit_key = NULL, updated = $2
FROM queued WHERE t.part = queued.part AND t.id = queued.id
RETURNING CASE WHEN queued.is_limited THEN t.id END
