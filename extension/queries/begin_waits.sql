-- Records that tasks have started to wait for their signals.
UPDATE workflow.workflow_task_execution t
SET attempt = t.attempt + 1, started_at = $2, due_at = $2 + t.timeout_seconds * interval '1 second', updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
