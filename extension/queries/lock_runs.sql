-- Locks workflow executions, in the global lock order. The last column: whether each has pending reports.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent,
  EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_execution w ON w.part = (d.id >> 48)::int AND w.id = d.id
ORDER BY w.part, w.depth, w.id
FOR NO KEY UPDATE OF w
