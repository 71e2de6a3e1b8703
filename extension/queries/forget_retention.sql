-- Executions of a workflow that ended so are kept for ever.
DELETE FROM workflow.retention r WHERE r.workflow_def = $1 AND r.status = $2::workflow.execution_status
