-- Locks the items that this transaction's snapshot takes for open: with a snapshot that is kept, PostgreSQL refuses where one of
-- them has ended since. What is being claimed this very moment has not.
SELECT t.id FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1
  AND t.task_name = $2 AND t.route = $3 AND t.visit = $4 AND t.completed_at IS NULL
FOR SHARE OF t SKIP LOCKED
