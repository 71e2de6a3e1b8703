-- Ends one workflow execution: writes the conductor's state and the lists of its tasks.
UPDATE workflow.workflow_execution w
SET status = $3::text::workflow.execution_status, paused = false, pause_reason = NULL, state = $4, variables = coalesce($5, w.variables),
    current_tasks = $6, completed_tasks = $7, failed_tasks = $8, skipped_tasks = $9, due_at = NULL, due_in = NULL, updated = $10,
    had_failure = w.had_failure OR $3 <> 'completed' OR $8 <> '{}'
WHERE w.part = $1 AND w.id = $2
