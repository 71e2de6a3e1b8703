-- Finds up to $1 tasks that are due ($2), earliest first, and locks their workflow executions unless someone else has.
-- $3: the parts, which lie between $4 and $5: the index contains the part, so tasks due in other parts do not require
-- access to their rows. Two kinds of tasks must not take the place of others: those driven from outside, which stay due
-- until their owner handles them, and those of an execution that someone else has locked. The tasks come first, whatever
-- the planner believes: statistics from when the tables were nearly empty must not make it read all executions.
WITH due AS MATERIALIZED (
  SELECT t.id, t.part, t.workflow_execution FROM workflow.workflow_task_execution t
  WHERE t.due_at <= $2 AND t.part BETWEEN $4 AND $5 AND ($3::int[] IS NULL OR t.part = ANY ($3))
  ORDER BY t.due_at, t.id)
SELECT due.id FROM due
CROSS JOIN LATERAL (
  SELECT FROM workflow.workflow_execution w
  WHERE w.part = due.part AND w.id = due.workflow_execution AND w.version IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED) AS w
LIMIT $1
