-- Keeps the tasks of executions that wait to begin from starting: they are due at infinity, and the remainder of their
-- delay is stored. Returns them.
UPDATE workflow.workflow_task_execution t
SET status = 'requested', due_at = 'infinity', due_in = greatest(t.due_at - $2, '0'), queue_at = NULL, limit_key = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.workflow_execution = d.id AND t.status IN ('requested', 'scheduled') AND NOT t.held
  AND t.due_at IS DISTINCT FROM 'infinity'
RETURNING t.id
