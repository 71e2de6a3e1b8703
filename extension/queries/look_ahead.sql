-- Whether a task with one of these actions ($2) is queued in a part before the position $3, but not before ($4, $5).
-- One index probe per action.
SELECT EXISTS (
  SELECT FROM pg_catalog.unnest($2::text[]) AS a(ref)
  CROSS JOIN LATERAL (
    SELECT FROM workflow.workflow_task_execution t
    WHERE t.part = $1 AND t.action_ref = a.ref AND (t.queue_at, t.id) >= ($4, $5) AND t.queue_at < $3 LIMIT 1) AS waiting)
