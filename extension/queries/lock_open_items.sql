-- Locks the items that are open in this transaction's snapshot: under REPEATABLE READ or SERIALIZABLE, PostgreSQL raises an error
-- if one of them has ended since. An item that is being claimed at this moment has not ended.
SELECT t.id FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1
  AND t.task_name = $2 AND t.route = $3 AND t.visit = $4 AND t.completed_at IS NULL
FOR SHARE OF t SKIP LOCKED
