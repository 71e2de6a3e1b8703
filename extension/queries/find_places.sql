-- Returns where tasks of a part belong: their workflow executions, and whether their success is final. This never changes.
SELECT t.id, t.workflow_execution, t.repeat_count IS NULL
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.id = ANY ($2)
