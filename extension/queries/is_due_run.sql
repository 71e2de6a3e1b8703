-- Whether an execution was postponed.
SELECT FROM workflow.workflow_execution w WHERE w.part = ($1 >> 48)::int AND w.id = $1 AND w.due_at IS NOT NULL
