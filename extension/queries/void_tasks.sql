-- Voids the leases of tasks that workers are executing for executions. Returns these tasks.
UPDATE workflow.workflow_task_execution t SET lease = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(workflow_execution)
WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  AND t.status = 'running' AND NOT t.calls
RETURNING t.id
