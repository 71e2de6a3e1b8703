-- Cancels waiting tasks of a whole execution or of one task (in any of its runs if the visit is null), gives them an
-- error if there is one, counts them, and lists those under limits that were not waiting for a key. Tasks with an undo for which it must still be known whether they were done
-- and, for a whole execution, tasks that close it are included only if $6 says so. Skips tasks that are being claimed
-- at this moment: they run, and running tasks may finish. Waiting for them could deadlock with a claimer that reports
-- to the same execution in the same transaction.
WITH waiting AS MATERIALIZED (
  SELECT t.part, t.id, d.error, CASE WHEN t.limits IS NOT NULL AND t.limit_key IS NULL THEN t.id END AS limited
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[]), pg_catalog.unnest($6::bool[]), pg_catalog.unnest($7::text[])) AS d(workflow_execution, task_name, route, visit, everything, error)
  JOIN workflow.workflow_task_execution t
    ON t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
   AND (d.task_name IS NULL AND (d.everything OR NOT t.closing) OR (t.task_name = d.task_name AND t.route = d.route AND (d.visit IS NULL OR t.visit = d.visit)))
  WHERE t.status IN ('requested', 'scheduled') AND (d.everything OR (t.undo ? 'unknown') IS NOT TRUE)
  FOR NO KEY UPDATE OF t SKIP LOCKED),
gone AS (
  UPDATE workflow.workflow_task_execution t
  SET status = 'cancelled', waits = false, held = false, queue_at = NULL, limit_key = NULL, due_at = NULL, next_retry_at = NULL, started_at = NULL,
      completed_at = $5, error = coalesce(waiting.error::jsonb, t.error), updated = $5
  FROM waiting WHERE t.part = waiting.part AND t.id = waiting.id
  RETURNING t.workflow_execution, t.task_name, t.route, t.visit, t.id, waiting.limited)
SELECT workflow_execution, task_name, route, visit, pg_catalog.count(*), pg_catalog.max(id), pg_catalog.array_agg(limited) FILTER (WHERE limited IS NOT NULL)
FROM gone GROUP BY 1, 2, 3, 4
