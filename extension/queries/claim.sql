-- Claims up to $3 tasks of one action ($2) in a part, from the queue position ($6, $7) on, longest waiting first. Skips rows that
-- others have locked, and tasks that must not start. The rows chosen pass through arrays, which the planner assumes to be short:
-- for a long queue, it would otherwise expect many rows to be claimed, and read all tasks. A ctid is meaningful only within one
-- table: if tasks are partitioned, part and id make sure that it is the right row. They are compared in a way that no index
-- supports: otherwise PostgreSQL 17 and later would read the part while it looks small, and keep that plan. The execution is looked
-- up in an expression: in a join, it could come first while there are few of them, and the whole queue would be sorted.
-- A task that has lost several leases may be what kills its workers. It is claimed alone: if it is the first in the queue, and the call
-- returns nothing else ($8).
WITH candidate AS MATERIALIZED (
  SELECT t.ctid AS place, t.id, t.lost_leases > 1 AS alone
  FROM workflow.workflow_task_execution t
  WHERE t.part = $1 AND t.action_ref = $2 AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
    AND NOT workflow.is_in_progress_elsewhere(t.xmax) AND (
      SELECT NOT workflow.blocks_claim(w.status, w.paused, t.closing, t.undo) FROM workflow.workflow_execution w
      WHERE w.part = t.part AND w.id = t.workflow_execution)
    AND ($8 OR t.lost_leases < 2)
  ORDER BY t.queue_at, t.id LIMIT $3
  FOR NO KEY UPDATE OF t SKIP LOCKED),
first_one AS MATERIALIZED (SELECT c.place, c.alone FROM candidate c LIMIT 1),
chosen AS MATERIALIZED (
  SELECT c.place, c.id FROM candidate c CROSS JOIN first_one f WHERE CASE WHEN f.alone THEN c.place = f.place ELSE NOT c.alone END)
UPDATE workflow.workflow_task_execution t
SET status = 'running', lease = CASE WHEN t.lost_leases = 0 THEN $4 ELSE workflow.draw_token() END, attempt = t.attempt + 1,
    queue_at = NULL, started_at = $5, updated = $5,
    due_at = CASE WHEN t.timeout_seconds IS NOT NULL THEN $5 + t.timeout_seconds * interval '1 second' END
FROM ROWS FROM (pg_catalog.unnest(ARRAY(SELECT c.place FROM chosen c)), pg_catalog.unnest(ARRAY(SELECT c.id FROM chosen c))) AS first(place, id)
WHERE t.ctid = first.place AND t.part IS NOT DISTINCT FROM $1 AND t.id IS NOT DISTINCT FROM first.id
RETURNING t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt, t.due_at, t.error, t.progress, t.lost_leases > 1, t.repeat_count IS NULL, t.limits, t.traceparent,
  CASE WHEN t.traceparent IS NOT NULL THEN (
    SELECT e.action_ref FROM workflow.execution e WHERE e.part = t.part AND e.id = t.workflow_execution) END
