-- Locks up to $2 workflow executions that executions have called and that have not ended, in the global lock order.
SELECT w.id, w.execution, NULL::bigint
FROM workflow.workflow_execution w
WHERE (w.part, w.id) IN (
    SELECT c.part, c.id
    FROM pg_catalog.unnest($1::bigint[]) AS d(execution)
    JOIN workflow.execution c ON c.part = (d.execution >> 48)::int AND c.parent = d.execution
    WHERE NOT workflow.is_end(c.status))
  AND w.version IS NOT NULL
ORDER BY w.depth, w.part, w.id LIMIT $2
FOR NO KEY UPDATE OF w
