-- Voids the leases of tasks that are no longer needed, by execution, name, route and, unless it is null, visit, and
-- returns these tasks. Those with an undo may finish, and so may all that are not to be voided ($7), but nobody takes
-- them over. Calls are late from now on, or from the end of a pause: the next tick cancels what they have called. Skips
-- tasks that are being reported at this moment, by others or later in this call ($8): they are done.
WITH rest AS MATERIALIZED (
  SELECT t.part, t.id, t.calls, d.running AND t.undo IS NULL AS void, w.paused
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[]), pg_catalog.unnest($7::bool[])) AS d(workflow_execution, task_name, route, visit, running)
  JOIN workflow.workflow_execution w ON w.part = (d.workflow_execution >> 48)::int AND w.id = d.workflow_execution
  JOIN workflow.workflow_task_execution t
    ON t.part = w.part AND t.workflow_execution = w.id
   AND t.task_name = d.task_name AND t.route = d.route AND (d.visit IS NULL OR t.visit = d.visit)
  WHERE t.status = 'running' AND (d.running OR NOT t.calls) AND t.id <> ALL ($8::bigint[])
  FOR NO KEY UPDATE OF t SKIP LOCKED),
calls AS (
  UPDATE workflow.workflow_task_execution t
  SET due_at = CASE WHEN NOT rest.paused THEN $5 END, due_in = CASE WHEN rest.paused THEN interval '0' END, timeout_seconds = NULL,
      error = $6::jsonb, updated = $5
  FROM rest WHERE rest.calls AND t.part = rest.part AND t.id = rest.id),
kept AS (
  UPDATE workflow.workflow_task_execution t SET max_lost_leases = t.lost_leases + 1, updated = $5
  FROM rest WHERE NOT rest.calls AND NOT rest.void AND t.part = rest.part AND t.id = rest.id)
UPDATE workflow.workflow_task_execution t SET lease = NULL, updated = $5
FROM rest WHERE NOT rest.calls AND rest.void AND t.part = rest.part AND t.id = rest.id
RETURNING t.id
