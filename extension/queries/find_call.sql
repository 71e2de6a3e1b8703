-- Finds the task whose work an execution did, unless that task has called another one since.
SELECT t.id, t.task_name, t.route, t.visit, t.task_index
FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.execution = $1 AND t.calls
