-- Deletes expired leases under which nothing is running any more. This is true of most leases that expire, because
-- their tasks have been reported one by one. OFFSET forces one lookup per task.
DELETE FROM workflow.lease l
USING ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::bigint[])) AS d(part, id)
WHERE l.part = d.part AND l.id = d.id
  AND NOT EXISTS (
    SELECT FROM pg_catalog.unnest(l.tasks) AS o(id)
    CROSS JOIN LATERAL (
      SELECT t.status, t.lease FROM workflow.workflow_task_execution t WHERE t.part = l.part AND t.id = o.id OFFSET 0) AS t
    WHERE t.status = 'running' AND t.lease = l.token)
