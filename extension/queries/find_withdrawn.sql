-- Which of these tasks, that waited for a signal, do so no more, or have begun to anew.
SELECT t.id
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
WHERE t.status <> 'scheduled' OR t.due_at > $2
