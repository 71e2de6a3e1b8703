-- Ends tasks reported as completed under a valid lease, and reads them. Their executions are locked.
UPDATE workflow.workflow_task_execution t
SET status = 'completed', result = d.result, error = d.error, due_at = NULL,
    completed_at = $1, updated = $1, duration_ms = pg_catalog.round(pg_catalog.date_part('epoch', greatest($1, t.started_at) - t.started_at) * 1000)::bigint
FROM rows AS d
WHERE t.part = (d.task >> 48)::int AND t.id = d.task AND t.status = 'running' AND t.lease = d.lease_token
RETURNING t.id, t.workflow_execution, t.lease, t.task_name, t.task_index, t.route, t.visit, t.retry_count, t.max_retries, t.context,
          t.created, t.closing, t.started_at, t.attempt, t.repeat_count
