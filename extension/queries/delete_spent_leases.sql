-- Deletes leases that no running task uses anymore; this is the case for most leases that expire, because their tasks were
-- reported one by one.
DELETE FROM workflow.lease l
USING ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::bigint[])) AS d(part, id)
WHERE l.part = d.part AND l.id = d.id
  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(l.tasks) AS o(id)
                  JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
                  WHERE t.status = 'running' AND t.lease = l.token)
