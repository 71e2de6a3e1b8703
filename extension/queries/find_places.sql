-- Where tasks of a part belong: their workflow executions, and which items they are. That never changes.
SELECT t.id, t.workflow_execution, t.task_index
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.id = ANY ($2)
