-- Tasks that were inserted for workers and whose action is a workflow: the engine goes on with them.
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', queue_at = NULL, due_at = NULL, lease = NULL, attempt = 0, started_at = NULL
FROM unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
