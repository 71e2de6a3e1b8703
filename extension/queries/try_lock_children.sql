-- Returns up to $2 executions that executions have called and that have not ended, including those called by tasks that
-- close their callers only if $3 says so; with their workflow executions, which are locked unless someone else has
-- locked them, and with the workflow executions of their callers.
WITH live AS MATERIALIZED (
  SELECT c.part, c.id, c.parent
  FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
  JOIN workflow.execution c ON c.part = (d.execution >> 48)::int AND c.parent = d.execution
  JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.id AND w.version IS NOT NULL
  WHERE NOT workflow.is_end(c.status) AND ($3 OR NOT EXISTS (
    SELECT FROM workflow.workflow_task_execution t WHERE t.part = c.part AND t.execution = c.id AND t.closing))
  ORDER BY c.id LIMIT $2),
free AS MATERIALIZED (
  SELECT w.id, w.execution FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT l.part, l.id FROM live l)
  FOR NO KEY UPDATE OF w SKIP LOCKED)
SELECT l.id, l.parent, f.id, caller.id
FROM live l
JOIN workflow.workflow_execution caller ON caller.part = l.part AND caller.id = l.parent
LEFT JOIN free f ON f.execution = l.id
