-- Locks workflow executions that have ended, skipping those that someone else has locked.
SELECT w.id FROM workflow.workflow_execution w
JOIN pg_catalog.unnest($1::bigint[]) AS c(id) ON w.part = (c.id >> 48)::int AND w.id = c.id
ORDER BY w.part, w.depth, w.id FOR UPDATE OF w SKIP LOCKED
