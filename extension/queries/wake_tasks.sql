-- Makes tasks whose delay has elapsed claimable, unless the execution is paused. A retry counts now that it is
-- dispatched. Returns them (including those that exceeded the limit of an earlier call), which of them the engine
-- continues with, and the actions of those that it has queued. Their workflow executions are locked ($2). OFFSET forces
-- one lookup per task, however many are due.
WITH due AS MATERIALIZED (
  SELECT t.part, t.id, w.paused
  FROM pg_catalog.unnest($1::bigint[]) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.workflow_execution, t.status, t.due_at, t.started_at FROM workflow.workflow_task_execution t
    WHERE t.part = (o.id >> 48)::int AND t.id = o.id OFFSET 0) AS t
  JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
  WHERE t.due_at <= $3 AND (t.status = 'requested' OR (t.status = 'scheduled' AND t.started_at IS NULL))
    AND t.workflow_execution = ANY ($2))
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', due_at = NULL, next_retry_at = NULL, updated = $3,
    retry_count = t.retry_count + CASE WHEN t.next_retry_at IS NULL THEN 0 ELSE 1 END,
    queue_at = CASE WHEN NOT d.paused AND t.action_ref IS NOT NULL AND NOT t.calls THEN $3 - t.priority * interval '1 minute' END
FROM due d WHERE t.part = d.part AND t.id = d.id
RETURNING t.id, t.calls OR t.action_ref IS NULL, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END
