-- Locks the executions that do the work of tasks that have timed out, unless somebody else has locked them: they are to be stopped.
WITH free AS MATERIALIZED (
  SELECT w.id, w.execution, w.state FROM workflow.workflow_execution w
  WHERE (w.part, w.execution) IN (
    SELECT t.part, t.execution FROM pg_catalog.unnest($1::bigint[]) AS o(id)
    JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
    WHERE t.calls AND t.status = 'running' AND t.due_at <= $2)
  FOR NO KEY UPDATE SKIP LOCKED)
SELECT f.execution FROM free f WHERE workflow.may_count(f.id, f.state)
