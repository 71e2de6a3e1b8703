-- Like lock_run, but returns nothing if someone else has locked it.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent,
  EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
FROM workflow.workflow_execution w
WHERE w.part = $1 AND w.id = $2
FOR NO KEY UPDATE OF w SKIP LOCKED
