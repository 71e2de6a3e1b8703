-- It is looked at.
UPDATE workflow.workflow_execution w SET due_at = NULL WHERE w.part = ($1 >> 48)::int AND w.id = $1
