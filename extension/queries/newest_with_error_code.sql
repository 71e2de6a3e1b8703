-- For each workflow ($1), returns up to $5 of the newest executions before a place ($2, $3) that were created at or
-- after $4 and have this error code ($6).
SELECT n.created, n.id, d.id
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
CROSS JOIN LATERAL (
  SELECT w.created, w.id FROM workflow.workflow_execution w
  WHERE w.workflow_def = d.id AND (w.created, w.id) < ($2, $3) AND w.created >= $4 AND w.errors IS NOT NULL
    AND pg_catalog.left(coalesce(w.errors #>> '{0,code}', w.errors #>> '{0,error,code}', w.errors #>> '{0,error,type}'), 100) = $6
  ORDER BY w.created DESC, w.id DESC LIMIT $5) AS n
