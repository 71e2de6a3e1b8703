-- Leaves the children of these executions to workflow_tick.
UPDATE workflow.workflow_execution w SET propagate_after = 0
FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
WHERE w.part = (d.execution >> 48)::int AND w.id = d.execution AND w.propagate_after IS DISTINCT FROM 0
