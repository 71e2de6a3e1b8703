-- Takes tasks out of the queue whose workflow execution, which is locked ($3), does not let them start. Tasks of a paused execution
-- wait for the end of the pause; returns the others, which have ended, because nobody can claim them.
WITH strays AS MATERIALIZED (
  SELECT t.id FROM workflow.workflow_task_execution t
  WHERE t.part = $1 AND t.id = ANY ($2) AND t.workflow_execution = ANY ($3) AND t.queue_at IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED),
dequeued AS (
  UPDATE workflow.workflow_task_execution t SET queue_at = NULL, updated = $4
  FROM strays s, workflow.workflow_execution w
  WHERE t.part = $1 AND t.id = s.id AND w.part = t.part AND w.id = t.workflow_execution
    AND workflow.keeps_out(w.status, w.paused, w.state)
  RETURNING t.id, w.paused)
SELECT d.id FROM dequeued d WHERE NOT d.paused ORDER BY d.id
