-- Reads tasks that no worker executes, and whose turn has come.
SELECT t.id, t.workflow_execution, t.calls, t.signal IS NOT NULL, t.action_ref, t.input, t.execution
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
WHERE t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL)
ORDER BY t.id
