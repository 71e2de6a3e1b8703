-- The workflow execution of an execution, locked, and whether it is over.
SELECT w.id, w.execution, w.version, w.status::text, w.paused, w.state, w.variables, w.priority, workflow.is_end(e.status)
FROM workflow.workflow_execution w
JOIN workflow.execution e ON e.part = w.part AND e.id = w.execution
WHERE w.part = ($1 >> 48)::int AND w.execution = $1
FOR NO KEY UPDATE OF w
