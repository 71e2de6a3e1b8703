-- Reads what is needed to start a workflow.
SELECT d.id, d.enabled, d.current_version, a.id
FROM workflow.workflow_definition d
LEFT JOIN workflow.action a ON a.ref = d.ref
WHERE d.ref = $1
