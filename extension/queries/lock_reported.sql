-- The executions of reported tasks, locked in the one order there is.
SELECT w.id, w.execution, w.version, w.status::text, w.paused, w.state, w.variables, w.priority, w.depth
FROM workflow.workflow_execution w
WHERE (w.part, w.id) IN (
  SELECT t.part, t.workflow_execution
  FROM unnest($1) AS o
  JOIN workflow.workflow_task_execution t ON t.part = (o.task >> 48)::int AND t.id = o.task)
ORDER BY w.depth, w.part, w.id
FOR NO KEY UPDATE OF w
