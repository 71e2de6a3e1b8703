-- Leaves it to the next tick to notify the callers or children of these executions, because somebody else is using them.
UPDATE workflow.workflow_execution w SET due_at = $2, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
WHERE w.part = (d.execution >> 48)::int AND w.id = d.execution
