-- Does a task of these actions, of any where none are named, have a place in the queue of a part so many seconds ahead of now?
SELECT
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.action_ref = ANY (coalesce($2, workflow.ready_actions($1, NULL)))
  AND t.queue_at < $3 - $4 * interval '1 second'
LIMIT 1
