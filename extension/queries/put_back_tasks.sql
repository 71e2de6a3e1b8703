-- Puts claimed tasks back into the queue, as if nobody had claimed them. If the same call has stopped their execution
-- in the meantime, mistaking them for running tasks, the next tick withdraws them.
WITH back AS (
  UPDATE workflow.workflow_task_execution t
  SET status = 'scheduled', lease = NULL, attempt = t.attempt - 1, started_at = NULL, due_at = NULL,
      queue_at = coalesce(t.limit_place, $2 - t.priority * interval '1 minute'), updated = $2
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  WHERE t.part = (d.id >> 48)::int AND t.id = d.id
  RETURNING t.part, t.workflow_execution),
stopped AS MATERIALIZED (
  SELECT w.part, w.id FROM workflow.workflow_execution w
  WHERE (w.part, w.id) IN (SELECT back.part, back.workflow_execution FROM back)
    AND w.status <> 'running' AND w.due_at IS NULL
  FOR NO KEY UPDATE SKIP LOCKED)
UPDATE workflow.workflow_execution w SET due_at = $2 FROM stopped WHERE w.part = stopped.part AND w.id = stopped.id
