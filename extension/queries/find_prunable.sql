-- Examines the next $6 executions of a workflow in order of creation, after $4 and $5, that may have ended by $3.
-- Returns how many there were, creation time and id of the last one, and those that ended with this status ($2), were
-- called by nobody, and have no child that has not ended.
SELECT pg_catalog.count(*), (pg_catalog.array_agg(w.created ORDER BY w.created DESC, w.id DESC))[1],
  (pg_catalog.array_agg(w.id ORDER BY w.created DESC, w.id DESC))[1],
  pg_catalog.array_agg(w.id ORDER BY w.id) FILTER (WHERE e.status = $2::workflow.execution_status AND e.updated <= $3 AND e.parent IS NULL
    AND NOT EXISTS (SELECT FROM workflow.execution child
                    WHERE child.part = w.part AND child.parent = w.id AND NOT workflow.is_end(child.status)))
FROM (SELECT x.part, x.id, x.created FROM workflow.workflow_execution x
      WHERE x.workflow_def = $1 AND x.created <= $3
        AND (x.created, x.id) > (coalesce($4, '-infinity'::timestamptz), coalesce($5, 0::bigint))
      ORDER BY x.created, x.id LIMIT $6) AS w
CROSS JOIN LATERAL (
  SELECT y.status, y.updated, y.parent FROM workflow.execution y WHERE y.part = w.part AND y.id = w.id OFFSET 0) AS e
