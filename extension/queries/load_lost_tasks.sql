-- What still runs under leases: the tasks, their tokens and their workflow executions. OFFSET keeps it one look-up per task: what
-- runs looks rare enough to be searched for first.
SELECT t.id, t.lease, t.workflow_execution
FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::bigint[])) AS d(part, id)
JOIN workflow.lease l ON l.part = d.part AND l.id = d.id
CROSS JOIN LATERAL pg_catalog.unnest(l.tasks) AS o(id)
CROSS JOIN LATERAL (
  SELECT t.id, t.status, t.lease, t.workflow_execution FROM workflow.workflow_task_execution t
  WHERE t.part = l.part AND t.id = o.id OFFSET 0) AS t
WHERE t.status = 'running' AND t.lease = l.token
ORDER BY t.id
