-- Makes the tasks of paused executions unclaimable, and stops the clocks of their waits, of their calls and of the
-- executions: the remainder of each time limit is stored. Tasks that are being claimed at this moment run. Returns those
-- under limits that were in the queue. OFFSET forces one lookup per execution: what is due looks rare enough to be
-- searched for first.
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
  CROSS JOIN LATERAL (
    SELECT n.part, n.id, n.status, n.signal, n.started_at, n.calls, n.due_at FROM workflow.workflow_task_execution n
    WHERE n.part = (d.workflow_execution >> 48)::int AND n.workflow_execution = d.workflow_execution OFFSET 0) AS o
  WHERE t.part = o.part AND t.id = o.id AND o.due_at IS NOT NULL
    AND (o.status = 'scheduled' AND o.signal IS NOT NULL AND o.started_at IS NOT NULL OR o.status = 'running' AND o.calls)),
clocks AS (
  UPDATE workflow.workflow_execution w SET due_in = greatest(w.due_at - $2, '0'), due_at = NULL
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  CROSS JOIN LATERAL (
    SELECT n.part, n.id, n.status, n.due_at FROM workflow.workflow_execution n
    WHERE n.part = (d.workflow_execution >> 48)::int AND n.id = d.workflow_execution OFFSET 0) AS o
  WHERE w.part = o.part AND w.id = o.id AND o.status = 'running' AND o.due_at IS NOT NULL)
UPDATE workflow.workflow_task_execution t SET queue_at = NULL, limit_key = NULL, updated = $2
FROM queued WHERE t.part = queued.part AND t.id = queued.id
RETURNING CASE WHEN queued.is_limited THEN t.id END
