-- Makes tasks wait for keys of limits ($2), which are locked: claimed tasks, as if nobody had claimed them, and calls
-- that were about to start.
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', lease = NULL, attempt = t.attempt - (t.status = 'running')::int, queue_at = NULL, started_at = NULL, due_at = NULL,
    limit_key = d.key, limit_place = coalesce(t.limit_place, $3 - t.priority * interval '1 minute'), updated = $3
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(id, key)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
