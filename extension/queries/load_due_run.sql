-- Reads the workflow execution of a locked execution.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent
FROM workflow.workflow_execution w
WHERE w.part = ($1 >> 48)::int AND w.id = $1
