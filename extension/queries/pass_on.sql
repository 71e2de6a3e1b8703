-- Marks workflow executions ($1) that have been notified of what was done to their callers ($2): their own children, if any, are
-- next, and they are paused for the same reason.
UPDATE workflow.workflow_execution w SET propagate_after = n.after, pause_reason = n.reason
FROM (
  SELECT h.part, h.id, CASE WHEN h.paused THEN coalesce(caller.pause_reason, h.pause_reason) END AS reason,
    CASE WHEN EXISTS (SELECT FROM workflow.execution c
                      WHERE c.part = h.part AND c.parent = h.execution AND NOT workflow.is_end(c.status)) THEN 0 END AS after
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(id, caller)
  JOIN workflow.workflow_execution h ON h.part = (d.id >> 48)::int AND h.id = d.id
  JOIN workflow.workflow_execution caller ON caller.part = h.part AND caller.id = d.caller) AS n
WHERE w.part = n.part AND w.id = n.id AND (w.propagate_after, w.pause_reason) IS DISTINCT FROM (n.after, n.reason)
