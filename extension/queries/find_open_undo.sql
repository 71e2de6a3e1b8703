-- Finds an execution that was called by tasks of a workflow execution and that has not undone everything that it had
-- completed.
SELECT w.id FROM workflow.workflow_task_execution t
JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.execution
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND w.state #>> '{undo,phase}' IN ('failed', 'stopped')
ORDER BY w.id LIMIT 1
