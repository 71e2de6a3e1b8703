-- Marks calls whose time limit has elapsed. They end once the executions that they have called have closed: as timed
-- out, unless these already have a verdict of their own. Returns those executions.
UPDATE workflow.workflow_task_execution t SET timed_out = w.status = 'running', due_at = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id), workflow.workflow_execution w
WHERE t.part = (d.id >> 48)::int AND t.id = d.id AND t.status = 'running' AND w.part = t.part AND w.id = t.execution
RETURNING t.execution
