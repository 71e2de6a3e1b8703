-- Locks the workflow execution of one task, with nothing to put in order.
SELECT w.id, w.execution, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth
FROM workflow.workflow_execution w
WHERE w.part = $1
  AND w.id = (SELECT t.workflow_execution FROM workflow.workflow_task_execution t WHERE t.part = $1 AND t.id = $2)
FOR NO KEY UPDATE OF w
