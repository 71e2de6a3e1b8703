-- Records why an execution was cancelled, unless it had failed before.
UPDATE workflow.workflow_execution w SET error_message = coalesce(w.error_message, pg_catalog.format('cancelled: %s', $2))
WHERE w.part = ($1 >> 48)::int AND w.id = $1 AND $2 IS NOT NULL
