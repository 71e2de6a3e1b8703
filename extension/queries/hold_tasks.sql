-- Makes the tasks of paused executions unclaimable. Tasks that are being claimed at this moment run.
WITH queued AS MATERIALIZED (
  SELECT t.part, t.id
  FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
  JOIN workflow.workflow_task_execution t
    ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  WHERE t.queue_at IS NOT NULL
  FOR NO KEY UPDATE OF t SKIP LOCKED)
UPDATE workflow.workflow_task_execution t SET queue_at = NULL, updated = $2
FROM queued WHERE t.part = queued.part AND t.id = queued.id
