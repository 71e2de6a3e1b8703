-- Voids the leases of tasks that workers are executing for executions; of those that close them, or that have an undo, only if told so ($3). Returns
-- these tasks.
UPDATE workflow.workflow_task_execution t SET lease = NULL, updated = $2
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($3::bool[])) AS d(workflow_execution, everything)
WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  AND t.status = 'running' AND NOT t.calls AND (d.everything OR NOT t.closing AND t.undo IS NULL)
RETURNING t.id
