-- Locks workflow executions of a part, in the global lock order.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth
FROM workflow.workflow_execution w
WHERE w.part = $1 AND w.id = ANY ($2)
ORDER BY w.depth, w.id
FOR NO KEY UPDATE OF w
