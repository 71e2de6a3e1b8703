-- Like lock_runs, but skips those that someone else has locked, so no order is needed.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent,
  EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_execution w ON w.part = (d.id >> 48)::int AND w.id = d.id
FOR NO KEY UPDATE OF w SKIP LOCKED
