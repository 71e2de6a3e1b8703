-- Lists the keys of a workflow ($2) under which executions above these ($1) count.
WITH RECURSIVE above AS (
  SELECT d.id AS called, d.id, 0 AS steps FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  UNION ALL
  SELECT a.called, e.parent, a.steps + 1 FROM above a
  JOIN workflow.execution e ON e.part = (a.id >> 48)::int AND e.id = a.id
  WHERE e.parent IS NOT NULL AND a.steps < 1000)
SELECT a.called, w.concurrency_key
FROM above a
JOIN workflow.workflow_execution w ON w.part = (a.id >> 48)::int AND w.id = a.id
JOIN workflow.workflow_definition f ON f.id = w.workflow_def
WHERE w.concurrency_key IS NOT NULL AND f.ref = $2
