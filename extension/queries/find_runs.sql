-- The workflow executions of tasks of a part.
SELECT t.workflow_execution FROM workflow.workflow_task_execution t WHERE t.part = $1 AND t.id = ANY ($2)
