-- Returns all changes of the branches of an execution, one row per entry.
SELECT c.workflow_execution, c.change, c.place, c.name, c.value, c.sees
FROM workflow.branch_change c
WHERE c.part = $1 AND c.workflow_execution = $2
