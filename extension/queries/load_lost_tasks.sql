-- Reads what is still running under leases: the tasks, their tokens and their workflow executions. Locks the tasks, and
-- skips those that are being reported at this moment. OFFSET forces one lookup per task: running tasks look rare enough
-- to be searched for first.
WITH lost AS MATERIALIZED (
  SELECT t.part, t.id, t.lease
  FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::bigint[])) AS d(part, id)
  JOIN workflow.lease l ON l.part = d.part AND l.id = d.id
  CROSS JOIN LATERAL pg_catalog.unnest(l.tasks) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.status, t.lease FROM workflow.workflow_task_execution t
    WHERE t.part = l.part AND t.id = o.id OFFSET 0) AS t
  WHERE t.status = 'running' AND t.lease = l.token)
SELECT t.id, t.lease, t.workflow_execution, t.task_name, t.route, t.visit, t.task_index IS NOT NULL
FROM lost
CROSS JOIN LATERAL (
  SELECT t.id, t.lease, t.workflow_execution, t.status, t.task_name, t.route, t.visit, t.task_index FROM workflow.workflow_task_execution t
  WHERE t.part = lost.part AND t.id = lost.id FOR NO KEY UPDATE SKIP LOCKED OFFSET 0) AS t
WHERE t.status = 'running' AND t.lease = lost.lease
ORDER BY t.id
