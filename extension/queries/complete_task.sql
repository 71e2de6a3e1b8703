-- Like complete_tasks, for one task.
UPDATE workflow.workflow_task_execution t
SET status = 'completed', result = $4, error = $5, due_at = NULL,
    completed_at = $6, updated = $6, duration_ms = pg_catalog.round(pg_catalog.date_part('epoch', greatest($6, t.started_at) - t.started_at) * 1000)::bigint
WHERE t.part = $1 AND t.id = $2 AND t.status = 'running' AND t.lease = $3
RETURNING t.id, t.workflow_execution, t.lease, t.task_name, t.task_index, t.route, t.visit, t.retry_count, t.max_retries, t.context,
          t.created, t.closing, t.started_at, t.attempt, t.repeat_count
