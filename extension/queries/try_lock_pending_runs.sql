-- Locks those of the workflow executions that have pending reports, unless someone else has locked them.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_execution w ON w.part = (d.id >> 48)::int AND w.id = d.id
WHERE EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
FOR NO KEY UPDATE OF w SKIP LOCKED
