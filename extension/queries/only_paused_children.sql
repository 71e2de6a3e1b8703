-- Whether all remaining work of an execution is done by children, all of which are paused.
SELECT pg_catalog.bool_and(coalesce(child.paused, false))
FROM workflow.workflow_task_execution t
LEFT JOIN workflow.workflow_execution child ON t.calls AND child.part = t.part AND child.execution = t.execution
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND NOT workflow.is_end(t.status)
