-- Ends one workflow execution: writes the conductor's memory and the lists of its tasks.
UPDATE workflow.workflow_execution w
SET status = $3::text::workflow.execution_status, paused = false, pause_reason = NULL, state = $4, variables = coalesce($5, w.variables),
    error_message = coalesce($6, w.error_message), current_tasks = $7, completed_tasks = $8, failed_tasks = $9, skipped_tasks = $10,
    due_at = NULL, updated = $11
WHERE w.part = $1 AND w.id = $2
