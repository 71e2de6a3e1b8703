-- Reads the items of tasks of an execution, in item order.
SELECT t.task_name, t.route, t.visit, t.task_index, t.status, t.result, t.error, t.started_at, t.completed_at, t.attempt
FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.task_index IS NOT NULL
ORDER BY t.task_index
