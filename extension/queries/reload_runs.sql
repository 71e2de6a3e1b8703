-- Reads the current state of executions that this call has locked.
SELECT w.id, w.version, w.status, w.paused, w.state, w.variables, w.priority, w.depth, w.traceparent
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_execution w ON w.part = (d.id >> 48)::int AND w.id = d.id
