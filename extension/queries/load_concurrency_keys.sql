-- Reads the limits and keys under which executions count for concurrency; those without are left out. The last column:
-- whether they displace the oldest.
SELECT w.id, '@' || f.ref, w.concurrency_key, v.definition #>> '{concurrency,when_full}' = 'cancel_oldest'
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_execution w ON w.part = (d.id >> 48)::int AND w.id = d.id
JOIN workflow.workflow_definition f ON f.id = w.workflow_def
JOIN workflow.workflow_definition_version v ON v.id = w.version
WHERE w.concurrency_key IS NOT NULL
