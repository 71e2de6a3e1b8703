-- Stores the progress of tasks, each named with its current token. Skips those that someone has locked: they are being
-- reported or taken away at this moment.
WITH named AS MATERIALIZED (
  SELECT t.part, t.id, n.progress
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::jsonb[])) AS n(task, token, progress)
  JOIN workflow.workflow_task_execution t ON t.part = (n.task >> 48)::int AND t.id = n.task
  WHERE n.progress IS NOT NULL AND t.status = 'running' AND t.lease = n.token
  FOR NO KEY UPDATE OF t SKIP LOCKED)
UPDATE workflow.workflow_task_execution t SET progress = n.progress, updated = $4
FROM named n WHERE t.part = n.part AND t.id = n.id AND t.progress IS DISTINCT FROM n.progress
