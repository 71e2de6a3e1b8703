-- Returns the signals that are kept for a task, oldest first, up to 1000.
SELECT s.id, s.payload::text, s.error::text
FROM workflow.workflow_task_execution t
JOIN workflow.signal s ON s.part = t.part AND s.execution = t.workflow_execution AND s.name = t.signal
WHERE t.part = ($1 >> 48)::int AND t.id = $1 AND s.task IS NULL
ORDER BY s.id LIMIT 1000
