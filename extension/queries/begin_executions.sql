-- Begins executions that have been waiting: their time limit counts from now ($2), and their tasks can be claimed.
-- Tasks that no worker executes, or that are delayed, are left to the next tick. Returns the tasks that are queued,
-- with their actions. OFFSET forces one lookup per execution: tasks due at infinity look rare enough to be searched for
-- first.
WITH begun AS (
  UPDATE workflow.workflow_execution w
  SET limit_key = NULL, limit_place = NULL, updated = $2,
      due_at = CASE WHEN NOT w.paused AND w.status = 'running' THEN $2 + (v.definition ->> 'timeout')::float8 * interval '1 second' END,
      due_in = CASE WHEN w.paused THEN (v.definition ->> 'timeout')::float8 * interval '1 second' END
  FROM pg_catalog.unnest($1::bigint[]) AS d(id), workflow.workflow_definition_version v
  WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND v.id = w.version
  RETURNING w.part, w.id, w.paused),
next AS (
  SELECT b.part, o.id, o.action_ref IS NOT NULL AND NOT o.calls AND NOT b.paused AND coalesce(o.due_in, '0') = '0' AS is_queued
  FROM begun b
  CROSS JOIN LATERAL (
    SELECT t.id, t.action_ref, t.calls, t.status, t.due_at, t.due_in FROM workflow.workflow_task_execution t
    WHERE t.part = b.part AND t.workflow_execution = b.id OFFSET 0) AS o
  WHERE o.status = 'requested' AND o.due_at = 'infinity')
UPDATE workflow.workflow_task_execution t
SET status = CASE WHEN n.is_queued THEN 'scheduled' ELSE t.status END, due_in = NULL, updated = $2,
    queue_at = CASE WHEN n.is_queued THEN $2 - t.priority * interval '1 minute' END,
    due_at = CASE WHEN NOT n.is_queued THEN $2 + coalesce(t.due_in, '0') END
FROM next n
WHERE t.part = n.part AND t.id = n.id
RETURNING t.id, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END
