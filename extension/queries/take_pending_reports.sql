-- Removes up to $2 pending reports of locked workflow executions, and returns the rows of their tasks as load_reported
-- does, in the order of completion, with their results and errors, and the role that reported them.
WITH first AS MATERIALIZED (
  SELECT p.part, p.workflow_execution, p.task, p.place
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.pending_report p ON p.part = (d.id >> 48)::int AND p.workflow_execution = d.id
  ORDER BY p.place, p.task LIMIT $2),
taken AS (
  DELETE FROM workflow.pending_report p USING first
  WHERE p.part = first.part AND p.workflow_execution = first.workflow_execution AND p.task = first.task
  RETURNING p.part, p.task, p.place, p.role)
SELECT t.id, t.workflow_execution, t.lease, t.task_name, t.task_index, t.route, t.visit, t.retry_count, t.max_retries, t.context,
       t.created, t.closing, t.started_at, t.attempt, t.repeat_count, t.completed_at, t.result, t.error, taken.role
FROM taken
JOIN workflow.workflow_task_execution t ON t.part = taken.part AND t.id = taken.task
ORDER BY taken.place, t.id
