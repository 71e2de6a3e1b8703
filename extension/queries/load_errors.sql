-- Reads the errors of executions.
SELECT w.id, w.errors FROM pg_catalog.unnest($1::bigint[]) AS wanted(id)
JOIN workflow.workflow_execution w ON w.part = (wanted.id >> 48)::int AND w.id = wanted.id
WHERE w.errors IS NOT NULL
