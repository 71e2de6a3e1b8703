-- Locks the workflow executions of executions and of their callers, unless someone else has locked them. Returns the
-- executions for which this has failed.
WITH RECURSIVE chain AS (
  SELECT d.id AS of, e.part, e.id, e.parent FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.execution e ON e.part = (d.id >> 48)::int AND e.id = d.id
  UNION
  SELECT c.of, e.part, e.id, e.parent FROM chain c JOIN workflow.execution e ON e.part = c.part AND e.id = c.parent),
free AS MATERIALIZED (
  SELECT w.id FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT c.part, c.id FROM chain c) AND w.version IS NOT NULL
  FOR NO KEY UPDATE OF w SKIP LOCKED)
SELECT DISTINCT c.of
FROM chain c
JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.id AND w.version IS NOT NULL
WHERE NOT EXISTS (SELECT FROM free f WHERE f.id = c.id)
