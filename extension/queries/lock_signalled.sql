-- Locks the workflow execution of an execution. Returns its status and its version, which is missing if it is driven
-- from outside.
SELECT w.id, w.status::text, w.version FROM workflow.workflow_execution w
WHERE w.part = ($1 >> 48)::int AND w.id = $1
FOR NO KEY UPDATE
