-- The next part after this one that has something in the queue; after the last one, the first.
SELECT coalesce(
  (SELECT t.part FROM workflow.workflow_task_execution t WHERE t.queue_at IS NOT NULL AND t.part > $1 ORDER BY t.part LIMIT 1),
  (SELECT t.part FROM workflow.workflow_task_execution t WHERE t.queue_at IS NOT NULL ORDER BY t.part LIMIT 1))
