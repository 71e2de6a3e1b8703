-- Finds up to 1000 queued tasks in a part, from the queue position ($3, $4) on, that must not start.
SELECT t.id FROM workflow.workflow_task_execution t
JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
WHERE t.part = $1 AND t.action_ref = ANY ($2) AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($3, $4)
  AND NOT workflow.is_in_progress_elsewhere(t.xmax) AND workflow.keeps_out(w.status, w.paused, t.closing, t.undo)
LIMIT 1000
