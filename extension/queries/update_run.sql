-- Updates the conductor's state for one execution that continues.
UPDATE workflow.workflow_execution w
SET paused = false, pause_reason = NULL, state = $3, variables = coalesce($4, w.variables), updated = $5
WHERE w.part = $1 AND w.id = $2
