-- Makes tasks whose delay has elapsed claimable, unless the execution is paused. A retry is counted now that it is dispatched.
-- Returns them, and which of them the engine has to process; also those that exceeded the limit of an earlier call.
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', due_at = NULL, next_retry_at = NULL, updated = $3,
    retry_count = t.retry_count + CASE WHEN t.next_retry_at IS NULL THEN 0 ELSE 1 END,
    queue_at = CASE WHEN NOT w.paused AND t.action_ref IS NOT NULL AND NOT t.calls THEN $3 - t.priority * interval '1 minute' END
FROM pg_catalog.unnest($1::bigint[]) AS o(id), workflow.workflow_execution w
WHERE t.part = (o.id >> 48)::int AND t.id = o.id AND t.due_at <= $3
  AND (t.status = 'requested' OR (t.status = 'scheduled' AND t.started_at IS NULL))
  AND w.part = t.part AND w.id = t.workflow_execution AND w.id = ANY ($2)
RETURNING t.id, t.calls OR t.action_ref IS NULL
