-- Locks the workflow executions of an execution and of those that called it, in the global lock order.
WITH RECURSIVE chain AS (
  SELECT e.part, e.id, e.parent FROM workflow.execution e WHERE e.part = ($1 >> 48)::int AND e.id = $1
  UNION ALL
  SELECT e.part, e.id, e.parent FROM chain c JOIN workflow.execution e ON e.part = c.part AND e.id = c.parent)
SELECT w.id, w.execution
FROM workflow.workflow_execution w
WHERE (w.part, w.id) IN (SELECT c.part, c.id FROM chain c) AND w.version IS NOT NULL
ORDER BY w.depth, w.part, w.id
FOR NO KEY UPDATE OF w
