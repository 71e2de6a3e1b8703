-- The workflow executions of executions, locked where nobody else has them.
SELECT w.id, w.execution FROM workflow.workflow_execution w
WHERE (w.part, w.execution) IN (SELECT (d.execution >> 48)::int, d.execution FROM unnest($1::bigint[]) AS d(execution))
FOR NO KEY UPDATE OF w SKIP LOCKED
