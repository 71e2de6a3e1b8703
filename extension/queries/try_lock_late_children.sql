-- Locks the executions that do the work of tasks whose time limit has elapsed, unless someone else has locked them:
-- they are to be stopped.
WITH late AS MATERIALIZED (
  SELECT t.part, t.execution FROM pg_catalog.unnest($1::bigint[]) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.part, t.execution, t.calls, t.status, t.due_at FROM workflow.workflow_task_execution t
    WHERE t.part = (o.id >> 48)::int AND t.id = o.id OFFSET 0) AS t
  WHERE t.calls AND t.status = 'running' AND t.due_at <= $2),
free AS MATERIALIZED (
  SELECT w.id, w.execution FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT l.part, l.execution FROM late l)
  FOR NO KEY UPDATE SKIP LOCKED)
SELECT f.execution FROM free f
