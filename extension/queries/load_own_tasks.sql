-- Reads tasks that no worker executes and whose turn has come. The last columns: the call whose execution undoes
-- itself, the name, and the limits.
SELECT t.id, t.workflow_execution, t.calls, t.signal IS NOT NULL, t.action_ref, t.input, coalesce(t.execution, u.execution), u.id, t.task_name, t.limits
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
LEFT JOIN workflow.workflow_task_execution u ON u.part = t.part AND u.id = t.undoes AND NOT u.undo ? 'action'
WHERE t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL)
ORDER BY t.id
