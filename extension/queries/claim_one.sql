-- Like claim, for one task of one action. $7: whether nothing else is returned with it.
UPDATE workflow.workflow_task_execution t
SET status = 'running', lease = $3, attempt = t.attempt + 1,
    queue_at = NULL, started_at = $4, updated = $4,
    due_at = CASE WHEN t.timeout_seconds IS NOT NULL THEN $4 + t.timeout_seconds * interval '1 second' END
WHERE t.part = $1 AND (t.ctid, t.id) = (
  SELECT c.ctid, c.id
  FROM workflow.workflow_task_execution c
  WHERE c.part = $1 AND c.action_ref = $2 AND c.queue_at IS NOT NULL AND (c.queue_at, c.id) >= ($5, $6)
    AND NOT workflow.is_in_progress_elsewhere(c.xmax) AND (
      SELECT NOT workflow.blocks_claim(w.status, w.paused, c.closing, c.undo) FROM workflow.workflow_execution w
      WHERE w.part = c.part AND w.id = c.workflow_execution)
    AND ($7 OR c.lost_leases < 2)
  ORDER BY c.queue_at, c.id LIMIT 1
  FOR NO KEY UPDATE OF c SKIP LOCKED)
RETURNING t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt, t.due_at, t.error, t.progress, t.lost_leases > 1, t.repeat_count IS NULL, t.limits, t.traceparent,
  CASE WHEN t.traceparent IS NOT NULL THEN (
    SELECT e.action_ref FROM workflow.execution e WHERE e.part = t.part AND e.id = t.workflow_execution) END
