-- Locks the workflow executions of tasks of a part, in the one order there is.
SELECT w.id, w.execution, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth
FROM workflow.workflow_execution w
WHERE w.part = $1
  AND w.id = ANY (ARRAY(SELECT t.workflow_execution FROM workflow.workflow_task_execution t WHERE t.part = $1 AND t.id = ANY ($2)))
ORDER BY w.depth, w.id
FOR NO KEY UPDATE OF w
