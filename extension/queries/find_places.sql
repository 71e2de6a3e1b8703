-- Returns where tasks of a part belong: their workflow executions and item indexes. These never change.
SELECT t.id, t.workflow_execution, t.task_index
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.id = ANY ($2)
