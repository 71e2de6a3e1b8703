-- Locks the workflow executions of executions and of their callers, in the global lock order.
WITH RECURSIVE chain AS (
  SELECT e.part, e.id, e.parent FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.execution e ON e.part = (d.id >> 48)::int AND e.id = d.id
  UNION
  SELECT e.part, e.id, e.parent FROM chain c JOIN workflow.execution e ON e.part = c.part AND e.id = c.parent)
SELECT w.id
FROM workflow.workflow_execution w
WHERE (w.part, w.id) IN (SELECT c.part, c.id FROM chain c) AND w.version IS NOT NULL
ORDER BY w.part, w.depth, w.id
FOR NO KEY UPDATE OF w
