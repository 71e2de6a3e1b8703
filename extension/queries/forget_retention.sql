-- Keeps executions of a workflow with this final status forever.
DELETE FROM workflow.retention r WHERE r.workflow_def = $1 AND r.status = $2::workflow.execution_status
