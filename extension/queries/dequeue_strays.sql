-- Removes tasks from the queue if their workflow execution, which is locked ($2), does not let them start. Tasks of a
-- paused execution wait for the end of the pause. Returns the others: they have ended, because nobody can claim them.
WITH strays AS MATERIALIZED (
  SELECT t.part, t.id, w.paused FROM pg_catalog.unnest($1::bigint[]) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.workflow_execution, t.queue_at, t.closing, t.undo FROM workflow.workflow_task_execution t
    WHERE t.part = (o.id >> 48)::int AND t.id = o.id
    FOR NO KEY UPDATE SKIP LOCKED) AS t
  JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
  WHERE t.queue_at IS NOT NULL AND t.workflow_execution = ANY ($2) AND workflow.blocks_claim(w.status, w.paused, t.closing, t.undo)),
dequeued AS (
  UPDATE workflow.workflow_task_execution t SET queue_at = NULL, updated = $3
  FROM strays s WHERE t.part = s.part AND t.id = s.id)
SELECT s.id FROM strays s WHERE NOT s.paused ORDER BY s.id
