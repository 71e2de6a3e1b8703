-- Voids the leases of tasks that are not needed any more, by execution, name, route and, unless it is null, visit, and returns these
-- tasks. Those with an undo may finish. What calls an execution is late from now on: the next tick cancels that.
WITH rest AS MATERIALIZED (
  SELECT t.part, t.id, t.calls
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[])) AS d(workflow_execution, task_name, route, visit)
  JOIN workflow.workflow_task_execution t
    ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
   AND t.task_name = d.task_name AND t.route = d.route AND (d.visit IS NULL OR t.visit = d.visit)
  WHERE t.status = 'running' AND (t.calls OR t.undo IS NULL)),
calls AS (
  UPDATE workflow.workflow_task_execution t SET due_at = $5, timeout_seconds = NULL, error = $6::jsonb, updated = $5
  FROM rest WHERE rest.calls AND t.part = rest.part AND t.id = rest.id)
UPDATE workflow.workflow_task_execution t SET lease = NULL, updated = $5
FROM rest WHERE NOT rest.calls AND t.part = rest.part AND t.id = rest.id
RETURNING t.id
