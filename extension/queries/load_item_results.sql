-- Reads the results of items that have started, in item order.
SELECT t.task_name, t.route, t.visit, t.task_index, t.result
FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.task_index IS NOT NULL AND t.attempt > 0
ORDER BY t.task_index
