-- Returns which of these actions are workflows.
SELECT pg_catalog.array_agg(a.ref) FROM workflow.action a WHERE a.ref = ANY ($1) AND a.is_workflow
