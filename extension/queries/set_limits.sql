-- Gives tasks that have ended ($1) other limits ($2, as JSON), for when they run again.
UPDATE workflow.workflow_task_execution t SET limits = nullif(d.limits, '[]')::jsonb
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[])) AS d(id, limits)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
