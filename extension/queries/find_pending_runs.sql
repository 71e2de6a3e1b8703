-- Locks up to $1 workflow executions that have pending reports, and reads them, skipping those that someone else has
-- locked. $2: the parts, which lie between $3 and $4. One index probe per execution, however many reports it has.
WITH RECURSIVE pending AS (
  (SELECT p.part, p.workflow_execution FROM workflow.pending_report p
   WHERE p.part BETWEEN $3 AND $4 AND ($2::int[] IS NULL OR p.part = ANY ($2))
   ORDER BY p.part, p.workflow_execution LIMIT 1)
  UNION ALL
  SELECT n.part, n.workflow_execution
  FROM pending c
  CROSS JOIN LATERAL (
    SELECT p.part, p.workflow_execution FROM workflow.pending_report p
    WHERE (p.part, p.workflow_execution) > (c.part, c.workflow_execution)
      AND p.part BETWEEN $3 AND $4 AND ($2::int[] IS NULL OR p.part = ANY ($2))
    ORDER BY p.part, p.workflow_execution LIMIT 1) AS n)
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent
FROM pending
CROSS JOIN LATERAL (
  SELECT w.* FROM workflow.workflow_execution w
  WHERE w.part = pending.part AND w.id = pending.workflow_execution FOR NO KEY UPDATE SKIP LOCKED OFFSET 0) AS w
LIMIT $1
