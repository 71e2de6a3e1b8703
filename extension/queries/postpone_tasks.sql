-- Leaves tasks to the next tick.
UPDATE workflow.workflow_task_execution t SET due_at = $2, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
