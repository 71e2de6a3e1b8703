-- Leaves tasks to the next tick. Clears started_at, because the tick would mistake a task that has started for one that
-- is running late; what an earlier attempt started is over.
UPDATE workflow.workflow_task_execution t SET due_at = $2, started_at = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
