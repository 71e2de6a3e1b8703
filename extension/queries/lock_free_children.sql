-- Locks up to $2 workflow executions that executions have called and that have not ended, unless someone else has
-- locked them. The last column: the caller of one that was not locked.
WITH live AS MATERIALIZED (
  SELECT c.part, c.id, c.parent
  FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
  JOIN workflow.execution c ON c.part = (d.execution >> 48)::int AND c.parent = d.execution
  JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.id AND w.version IS NOT NULL
  WHERE NOT workflow.is_end(c.status)
  ORDER BY c.id LIMIT $2),
free AS MATERIALIZED (
  SELECT w.id FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT l.part, l.id FROM live l)
  FOR NO KEY UPDATE OF w SKIP LOCKED)
SELECT l.id, l.id, CASE WHEN f.id IS NULL THEN l.parent END
FROM live l LEFT JOIN free f ON f.id = l.id
ORDER BY l.id
