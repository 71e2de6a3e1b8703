-- Reads an action as validation needs it: its schema and, for a workflow, whether it can be started and what it in turn
-- calls.
SELECT a.param_schema::text, a.is_workflow, coalesce(d.enabled, true),
       ARRAY(SELECT DISTINCT task ->> 'action' FROM pg_catalog.jsonb_array_elements(CASE pg_catalog.jsonb_typeof(d.definition -> 'tasks')
               WHEN 'array' THEN d.definition -> 'tasks' ELSE '[]' END) AS task WHERE task ->> 'action' IS NOT NULL)
FROM workflow.action a
LEFT JOIN workflow.workflow_definition d ON d.id = a.workflow_def
WHERE a.ref = $1
