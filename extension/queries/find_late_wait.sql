-- Returns the newest task that has waited for a signal, if it timed out or was no longer needed.
SELECT w.task_name, w.completed_at::text FROM (
  SELECT t.task_name, t.status, t.error, t.completed_at FROM workflow.workflow_task_execution t
  WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.signal = $2 AND t.completed_at IS NOT NULL
  ORDER BY t.completed_at DESC, t.id DESC LIMIT 1) AS w
WHERE w.status = 'timeout' OR w.status = 'cancelled' AND w.error ->> 'type' = 'not_needed'
