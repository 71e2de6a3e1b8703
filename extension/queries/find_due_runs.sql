-- Finds up to $1 executions that are due ($2), and locks their workflow executions unless someone else has. $3: the
-- parts, which lie between $4 and $5. The last column: whether the execution is waiting to begin.
WITH free AS MATERIALIZED (
  SELECT w.id, w.execution, w.limit_place IS NOT NULL AND w.status = 'running' AS waits FROM workflow.workflow_execution w
  WHERE w.due_at <= $2 AND w.part BETWEEN $4 AND $5 AND ($3::int[] IS NULL OR w.part = ANY ($3)) AND w.version IS NOT NULL
  ORDER BY w.due_at, w.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
SELECT f.execution, f.waits FROM free f
