-- Returns tasks that have timed out, earliest due first: their timeout, and the signal that they waited for.
SELECT t.id, t.timeout_seconds, t.signal
FROM pg_catalog.unnest($1::bigint[]) AS o(id)
JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
WHERE t.due_at <= $4 AND (t.status = 'running' OR (t.status = 'scheduled' AND t.signal IS NOT NULL))
  AND t.workflow_execution = ANY ($2) AND (NOT t.calls OR t.execution = ANY ($3))
ORDER BY t.due_at, t.id
