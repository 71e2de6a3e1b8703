-- Leaves executions to a later tick ($2), because someone else has locked executions that have to be notified or
-- stopped on their behalf.
UPDATE workflow.workflow_execution w SET due_at = $2, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
WHERE w.part = (d.execution >> 48)::int AND w.id = d.execution
