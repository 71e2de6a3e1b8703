-- Finds the oldest task that waits for a signal.
SELECT t.id, t.task_name FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.signal = $2 AND t.status = 'scheduled'
ORDER BY t.id LIMIT 1
