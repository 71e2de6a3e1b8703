-- Locks one workflow execution.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth
FROM workflow.workflow_execution w
WHERE w.part = $1 AND w.id = $2
FOR NO KEY UPDATE OF w
