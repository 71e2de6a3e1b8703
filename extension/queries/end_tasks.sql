-- Ends reported tasks, with the result and error reported.
UPDATE workflow.workflow_task_execution t
SET status = d.status, waits = false, queue_at = NULL, limit_key = NULL, next_retry_at = NULL, due_in = NULL, result = d.result, error = d.error, progress = coalesce(d.progress, t.progress), timed_out = t.timed_out OR d.status = 'timeout', due_at = NULL,
    completed_at = $1, updated = $1, duration_ms = pg_catalog.round(pg_catalog.date_part('epoch', greatest($1, t.started_at) - t.started_at) * 1000)::bigint
FROM rows AS d
WHERE t.part = (d.task >> 48)::int AND t.id = d.task
