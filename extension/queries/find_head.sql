-- Finds the first queue position of tasks of these actions in a part, from the given one on.
SELECT head.queue_at, head.id
FROM pg_catalog.unnest($2::text[]) AS a(ref)
CROSS JOIN LATERAL (
  SELECT t.queue_at, t.id FROM workflow.workflow_task_execution t
  WHERE t.part = $1 AND t.action_ref = a.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($3, $4)
  ORDER BY t.queue_at, t.id LIMIT 1) AS head
ORDER BY head.queue_at, head.id LIMIT 1
