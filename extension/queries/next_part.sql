-- Returns the first part after $1 and before $2 that has queued tasks, or else the first one before $3.
SELECT coalesce(
  (SELECT t.part FROM workflow.workflow_task_execution t
   WHERE t.queue_at IS NOT NULL AND t.part > $1 AND t.part < $2 ORDER BY t.part LIMIT 1),
  (SELECT t.part FROM workflow.workflow_task_execution t WHERE t.queue_at IS NOT NULL AND t.part < $3 ORDER BY t.part LIMIT 1))
