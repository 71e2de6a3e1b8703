-- Locks the workflow executions of executions, unless someone else has locked them.
WITH free AS MATERIALIZED (
  SELECT w.id, w.execution FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT (d.execution >> 48)::int, d.execution FROM pg_catalog.unnest($1::bigint[]) AS d(execution))
  FOR NO KEY UPDATE OF w SKIP LOCKED)
SELECT f.id, f.execution FROM free f
