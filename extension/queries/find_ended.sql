-- Finds those of the given tasks that have ended, and how.
SELECT t.id, t.status::text
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
WHERE workflow.is_end(t.status)
