-- Takes the executions that tasks have called away from them: the tasks that undo these go on with them.
UPDATE workflow.workflow_task_execution t SET execution = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
