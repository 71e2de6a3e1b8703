-- Makes executions that have stopped no longer wait to begin. Only the tasks that close them remain: the next tick ($2)
-- lets these start.
WITH gone AS (
  UPDATE workflow.workflow_execution w SET limit_key = NULL, limit_place = NULL
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND w.limit_place IS NOT NULL
  RETURNING w.part, w.id)
UPDATE workflow.workflow_task_execution t
SET due_at = $2 + coalesce(t.due_in, '0'), due_in = NULL, updated = $2
FROM gone
WHERE t.part = gone.part AND t.workflow_execution = gone.id AND t.status = 'requested' AND t.due_at = 'infinity'
