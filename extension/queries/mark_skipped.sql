-- Marks tasks that have ended as skipped.
UPDATE workflow.workflow_task_execution t SET skipped = true
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
