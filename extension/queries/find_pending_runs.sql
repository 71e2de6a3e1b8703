-- Locks workflow executions that have pending reports, among the first $1 of them, unless somebody else has locked them, and reads
-- them. $2: the parts, which lie between $3 and $4.
WITH pending AS MATERIALIZED (
  SELECT DISTINCT p.part, p.workflow_execution FROM workflow.pending_report p
  WHERE p.part BETWEEN $3 AND $4 AND ($2::int[] IS NULL OR p.part = ANY ($2))
  ORDER BY p.part, p.workflow_execution LIMIT $1)
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth
FROM pending
CROSS JOIN LATERAL (
  SELECT w.* FROM workflow.workflow_execution w
  WHERE w.part = pending.part AND w.id = pending.workflow_execution FOR NO KEY UPDATE SKIP LOCKED OFFSET 0) AS w
