-- Returns those of the tasks, which were waiting for a signal, that no longer wait or have started to wait again.
SELECT t.id
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
WHERE t.status <> 'scheduled' OR t.due_at > $2
