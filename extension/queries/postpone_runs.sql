-- Somebody is busy with those that these executions have something to tell: the next tick tells them.
UPDATE workflow.workflow_execution w SET due_at = $2, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
WHERE w.part = (d.execution >> 48)::int AND w.execution = d.execution
