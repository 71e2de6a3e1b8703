-- Voids the leases of tasks that workers are executing for executions; of those that close them, or that have an undo,
-- only if $3 says so. Skips tasks that are being reported at this moment: they are done. Returns the tasks.
WITH running AS MATERIALIZED (
  SELECT t.part, t.id
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($3::bool[])) AS d(workflow_execution, everything)
  JOIN workflow.workflow_task_execution t
    ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  WHERE t.status = 'running' AND NOT t.calls AND (d.everything OR NOT t.closing AND t.undo IS NULL)
  FOR NO KEY UPDATE OF t SKIP LOCKED)
UPDATE workflow.workflow_task_execution t SET lease = NULL, updated = $2
FROM running WHERE t.part = running.part AND t.id = running.id
RETURNING t.id
