-- Returns the tasks whose time limit has elapsed, earliest due first: their limit, the signal that they waited for, and
-- their heartbeat if that is what they missed. Their workflow executions are locked ($2), and so are the executions
-- that do their work ($3). Skips tasks that are being reported at this moment.
SELECT t.id, t.timeout_seconds, t.signal, CASE WHEN t.calls THEN t.execution END,
  CASE WHEN coalesce(t.due_after > interval '0', true) THEN t.heartbeat_seconds END
FROM pg_catalog.unnest($1::bigint[]) AS o(id)
CROSS JOIN LATERAL (
  SELECT t.* FROM workflow.workflow_task_execution t WHERE t.part = (o.id >> 48)::int AND t.id = o.id FOR NO KEY UPDATE SKIP LOCKED OFFSET 0) AS t
WHERE t.due_at <= $4 AND (t.status = 'running' OR (t.status = 'scheduled' AND t.signal IS NOT NULL))
  AND t.workflow_execution = ANY ($2) AND (NOT t.calls OR t.execution = ANY ($3))
ORDER BY t.due_at, t.id
