-- Like lock_runs, but skips those that someone else has locked, so no order is needed.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent,
  EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
FROM workflow.workflow_execution w
WHERE w.part = $1 AND w.id = ANY ($2)
FOR NO KEY UPDATE OF w SKIP LOCKED
