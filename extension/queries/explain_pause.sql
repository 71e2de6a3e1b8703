-- Records why executions are paused.
UPDATE workflow.workflow_execution w SET pause_reason = coalesce($2, w.pause_reason), updated = $3
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND w.paused
