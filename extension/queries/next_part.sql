-- The first part after this one ($1), and before that ($2), that has something in the queue; else the first before that ($3).
SELECT coalesce(
  (SELECT t.part FROM workflow.workflow_task_execution t
   WHERE t.queue_at IS NOT NULL AND t.part > $1 AND t.part < $2 ORDER BY t.part LIMIT 1),
  (SELECT t.part FROM workflow.workflow_task_execution t WHERE t.queue_at IS NOT NULL AND t.part < $3 ORDER BY t.part LIMIT 1))
