-- Clears the due time of a workflow execution that has been processed.
UPDATE workflow.workflow_execution w SET due_at = NULL WHERE w.part = ($1 >> 48)::int AND w.id = $1
