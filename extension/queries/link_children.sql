-- Links tasks to the child executions that do their work.
UPDATE workflow.workflow_task_execution t
SET status = 'running', execution = d.execution, attempt = t.attempt + 1, started_at = $3, updated = $3,
    due_at = $3 + t.timeout_seconds * interval '1 second'
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(id, execution)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
