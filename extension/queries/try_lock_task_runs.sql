-- Locks the workflow executions of tasks, unless someone else has locked them: time-driven work never waits, but tries
-- again later.
WITH free AS MATERIALIZED (
  SELECT w.id FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT t.part, t.workflow_execution FROM pg_catalog.unnest($1::bigint[]) AS o(id)
                           JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id)
    AND w.version IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED)
SELECT f.id FROM free f
