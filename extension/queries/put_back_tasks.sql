-- Puts tasks back into the queue, as if nobody had claimed them.
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', lease = NULL, attempt = t.attempt - 1, started_at = NULL, due_at = NULL,
    queue_at = coalesce(t.limit_place, $2 - t.priority * interval '1 minute'), updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
