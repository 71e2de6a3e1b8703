-- Reads the parameters of executions.
SELECT e.id, e.config
FROM pg_catalog.unnest($1::bigint[]) AS wanted(id)
JOIN workflow.execution e ON e.part = (wanted.id >> 48)::int AND e.id = wanted.id
