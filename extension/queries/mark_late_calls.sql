-- Marks calls whose time is over. They end once the executions that they have called have closed.
UPDATE workflow.workflow_task_execution t SET timed_out = true, due_at = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
