-- Claims up to $3 tasks of an action ($2) of a part, from this place ($6, $7) on: what waited longest first. What others have locked
-- is skipped, and so is what must not begin. What is chosen passes through
-- arrays, which the planner takes for short ones: of a long queue it would expect a great deal to be claimed, and read all tasks.
-- A ctid means something only within one table: the part and the id say that it is the right one, where tasks are
-- partitioned. The id is compared in a way that no index helps with: the row is there already.
WITH candidate AS MATERIALIZED (
  SELECT t.ctid AS place, t.id
  FROM workflow.workflow_task_execution t
  JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
  WHERE t.part = $1 AND t.action_ref = $2 AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
    AND NOT workflow.goes_on_elsewhere(t.xmax) AND NOT workflow.keeps_out(w.status, w.paused, w.state)
  ORDER BY t.queue_at, t.id LIMIT $3
  FOR NO KEY UPDATE OF t SKIP LOCKED)
UPDATE workflow.workflow_task_execution t
SET status = 'running', lease = $4, attempt = t.attempt + 1,
    queue_at = NULL, started_at = $5, updated = $5,
    due_at = CASE WHEN t.timeout_seconds IS NOT NULL THEN $5 + t.timeout_seconds * interval '1 second' END
FROM ROWS FROM (pg_catalog.unnest(ARRAY(SELECT c.place FROM candidate c)), pg_catalog.unnest(ARRAY(SELECT c.id FROM candidate c))) AS first(place, id)
WHERE t.part = $1 AND t.ctid = first.place AND t.id IS NOT DISTINCT FROM first.id
RETURNING t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt
