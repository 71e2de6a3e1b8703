-- Finds up to $1 workflow executions whose children have yet to be notified of what was done to them, with the status
-- and pause that the children are to adopt, and whether it was stopped by force; and up to $1 children in all, in order
-- of id, after the last one that was notified. Locks both; if someone else has locked a child, its workflow execution
-- is NULL. The last column: whether the task that called it closes its caller.
WITH caller AS MATERIALIZED (
  SELECT w.part, w.id, w.execution, w.status, w.paused, w.propagate_after, coalesce(w.state ? 'forced', false) AS forced
  FROM workflow.workflow_execution w
  WHERE w.propagate_after IS NOT NULL AND ($2::int[] IS NULL OR w.part = ANY ($2))
  ORDER BY w.id LIMIT $1
  FOR NO KEY UPDATE SKIP LOCKED),
child AS MATERIALIZED (
  SELECT k.id AS caller, c.part, c.id
  FROM caller k
  JOIN workflow.execution c ON c.part = k.part AND c.parent = k.execution
  JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.id AND w.version IS NOT NULL
  WHERE c.id > k.propagate_after AND NOT workflow.is_end(c.status)
  ORDER BY k.id, c.id LIMIT $1),
free AS MATERIALIZED (
  SELECT w.id, w.execution FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT c.part, c.id FROM child c)
  FOR NO KEY UPDATE SKIP LOCKED)
SELECT k.id, k.status, k.paused, k.propagate_after, c.id, f.id, k.forced, EXISTS (
  SELECT FROM workflow.workflow_task_execution t WHERE t.part = c.part AND t.execution = c.id AND t.closing)
FROM caller k
LEFT JOIN child c ON c.caller = k.id
LEFT JOIN free f ON f.execution = c.id
ORDER BY k.id, c.id
