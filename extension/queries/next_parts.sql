-- Returns the parts that have queued tasks, up to $4 of them: those after $1 and before $2, in order, and then those before $3.
WITH RECURSIVE visited AS (
  SELECT $1::int AS part, false AS wrapped, false AS found
  UNION ALL
  SELECT coalesce(n.part, f.part), v.wrapped OR n.part IS NULL, true
  FROM visited v
  LEFT JOIN LATERAL (
    SELECT t.part FROM workflow.workflow_task_execution t
    WHERE t.queue_at IS NOT NULL AND t.part > v.part AND t.part < CASE WHEN v.wrapped THEN $3 ELSE $2 END
    ORDER BY t.part LIMIT 1) AS n ON true
  LEFT JOIN LATERAL (
    SELECT t.part FROM workflow.workflow_task_execution t
    WHERE t.queue_at IS NOT NULL AND t.part < $3 AND n.part IS NULL AND NOT v.wrapped
    ORDER BY t.part LIMIT 1) AS f ON true
  WHERE coalesce(n.part, f.part) IS NOT NULL)
SELECT v.part::bigint FROM visited v WHERE v.found LIMIT $4
