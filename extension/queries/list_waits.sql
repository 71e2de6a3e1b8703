-- Returns the signals that tasks of a workflow wait for, according to its definition.
SELECT pg_catalog.array_agg(DISTINCT t.task #>> '{wait_for,signal}')
FROM workflow.workflow_execution w
JOIN workflow.workflow_definition_version v ON v.id = w.version
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(v.definition -> 'tasks') AS t(task)
WHERE w.part = ($1 >> 48)::int AND w.id = $1 AND t.task ? 'wait_for'
